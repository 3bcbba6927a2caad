//! Log lines of drivers in the node's own process.

use crate::harness::chain;
use crate::support::{Closure, done, finish, open, start};
use conveyor_engine::run::{Fact, Identity};
use conveyor_engine::time::Time;
use conveyor_node::driver::{LogLine, LogStream};
use conveyor_node::{Adopt, Node, RunId};
use conveyor_store::Memory;
use std::sync::Arc;

const FIRST: Identity = Identity {
    step: 0,
    instance: 0,
    attempt: 1,
};

/// A node after a run whose step says so many lines, each as `text` makes it.
async fn said(lines: u64, text: fn(u64) -> Vec<u8>) -> (Node, RunId) {
    let driver = Closure::driver(move |_, context| async move {
        for number in 0..lines {
            let line = LogLine {
                time: Time(number),
                stream: LogStream::Stdout,
                text: text(number).into(),
                goes_on: false,
            };
            context.logs.send(line).await;
        }
        done()
    });
    let node = open(Arc::new(Memory::new()), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    finish(&node, run).await;
    (node, run)
}

/// Reads the log to its end: each line is as `text` makes it. How many there are.
async fn read(node: &Node, run: RunId, text: fn(u64) -> Vec<u8>) -> u64 {
    let mut next = 0;
    loop {
        let page = node.reader().log(run, FIRST, next, 1000).await.unwrap();
        for line in &page.lines {
            assert_eq!(line.offset, next);
            assert!(line.line.text == text(next), "line {next}");
            next += 1;
        }
        if page.end {
            return next;
        }
        assert!(page.more, "the log stops at {next} without an end");
    }
}

#[tokio::test]
async fn every_log_line_is_durable_when_the_result_is() {
    let text = |number| format!("line {number}").into_bytes();
    let (node, run) = said(10_000, text).await;
    assert_eq!(read(&node, run, text).await, 10_000);
    let records = node.reader().records(run, 0, usize::MAX).await.unwrap();
    let last = records
        .iter()
        .flat_map(|record| &record.entries)
        .find_map(|entry| match &entry.fact {
            Fact::Reported(report) => report.last_log,
            _ => None,
        });
    assert_eq!(last, Some(9_999));
}

#[tokio::test]
async fn lines_that_are_more_than_a_commit_may_have_are_all_kept() {
    let text = |number: u64| vec![b'a' + (number % 26) as u8; 60_000];
    let (node, run) = said(700, text).await;
    assert_eq!(read(&node, run, text).await, 700);
}

#[tokio::test]
async fn a_line_over_the_limit_is_kept_whole_in_pieces_that_go_on() {
    let (node, run) = said(2, |number| {
        "é".repeat(100_000 * number as usize).into_bytes()
    })
    .await;
    let page = node.reader().log(run, FIRST, 0, 1000).await.unwrap();
    assert!(page.end);
    let told = page.lines.iter().map(|line| &line.line);
    let pieces: Vec<_> = told.map(|line| (line.text.len(), line.truncated)).collect();
    let (most, rest) = (65_536, 200_000 - 3 * 65_536);
    assert_eq!(
        pieces,
        [
            (0, false),
            (most, true),
            (most, true),
            (most, true),
            (rest, false)
        ]
    );
}

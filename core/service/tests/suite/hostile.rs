//! Streams that say what no driver says. `fuzz/fuzz_targets/session.rs` says more of it.

use crate::stream::{Server, hello};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::Message as _;
use prost::bytes::Bytes;

fn failed(last_log_offset: Option<u64>) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Failed.into(),
        failure: Some(v1::Failure {
            code: "no".to_owned(),
            ..v1::Failure::default()
        }),
        last_log_offset,
        ..v1::Result::default()
    }
}

fn report(token: &Bytes, result: Option<v1::Result>) -> Tell {
    let token = token.clone();
    Tell::Report(v1::TaskReport { token, result })
}

fn logs(token: &Bytes, first_offset: u64) -> Tell {
    Tell::Logs(v1::LogBatch {
        token: token.clone(),
        first_offset,
        lines: vec![v1::LogLine::default()],
    })
}

/// Everything that a token is said with.
fn all_with(token: &Bytes) -> Vec<Tell> {
    let answer = |answer| {
        let token = token.clone();
        Tell::Answer(v1::TaskAnswer { token, answer })
    };
    let detached = v1::Detached {
        until_ms: u64::MAX,
        principals: vec!["x".to_owned()],
    };
    let progress = v1::TaskProgress {
        token: token.clone(),
        permille: Some(u32::MAX),
        message: "x".repeat(5000),
    };
    let checkpoint = v1::Checkpoint {
        token: token.clone(),
        data: "x".into(),
    };
    vec![
        answer(None),
        answer(Some(v1::task_answer::Answer::Accepted(v1::Accepted {}))),
        answer(Some(v1::task_answer::Answer::Refused(
            v1::Refused::default(),
        ))),
        answer(Some(v1::task_answer::Answer::Detached(detached))),
        Tell::Heartbeat(v1::SessionHeartbeat {
            tasks: vec![progress],
            free: Some(u32::MAX),
        }),
        report(token, None),
        report(token, Some(failed(Some(u64::MAX)))),
        logs(token, 0),
        logs(token, u64::MAX),
        Tell::Checkpoint(checkpoint),
    ]
}

/// A token that lacks its end, one with a letter more, one with a bit turned, and none at all.
fn torn(token: &Bytes) -> Vec<Bytes> {
    let mut turned = token.to_vec();
    let last = turned.len() - 1;
    turned[last] ^= 1;
    vec![
        token.slice(..last),
        [token, &b"x"[..]].concat().into(),
        turned.into(),
        Bytes::new(),
    ]
}

#[tokio::test]
async fn tokens_of_others_and_of_what_is_over_change_nothing() {
    let server = Server::open().await;
    let theirs = server.start().await;
    let (_other, _, tasks) = server.session("other", 1).await;
    let foreign = tasks[0].token.clone();
    let ended = server.start().await;
    let (mut stream, _, tasks) = server.session("raw", 1).await;
    let over = tasks[0].token.clone();
    stream.tell(report(&over, Some(failed(None))));
    while !matches!(stream.next().await, Some(Told::Outcome(_))) {}
    let before = (server.records(theirs).await, server.records(ended).await);

    let mut tokens = torn(&foreign);
    tokens.extend(torn(&over));
    tokens.extend([foreign.clone(), over.clone()]);
    for token in &tokens {
        for said in all_with(token) {
            // A report is answered after what was said before it.
            let mut open = matches!(said, Tell::Report(_));
            stream.tell(said);
            while open {
                match stream.next().await.expect("the stream goes on") {
                    Told::Outcome(outcome) => {
                        assert_eq!(outcome.status(), v1::ReportStatus::Stale);
                        open = false;
                    }
                    Told::Goodbye(goodbye) => panic!("{goodbye:?}"),
                    _ => {}
                }
            }
        }
    }
    // What was said last is read, too: leaving is answered by the end.
    stream.tell(Tell::Leaving(v1::Leaving::default()));
    stream.end().await;
    let after = (server.records(theirs).await, server.records(ended).await);
    assert_eq!(after, before);
    server.end().await;
}

#[tokio::test]
async fn numbers_at_their_ends_are_answered() {
    let server = Server::open().await;
    for sequence in [0, 1, u64::MAX] {
        server.start().await;
        let (mut stream, _, tasks) = server.session("raw", 1).await;
        let token = &tasks[0].token;
        for message in all_with(token) {
            let refuses = matches!(&message, Tell::Answer(answer)
                if matches!(answer.answer, Some(v1::task_answer::Answer::Refused(_) | v1::task_answer::Answer::Detached(_))));
            if !refuses {
                let message = Some(message);
                stream.send(v1::SessionRequest { sequence, message });
            }
        }
        let credits = v1::Credits {
            count: u32::MAX,
            ..v1::Credits::default()
        };
        let message = Some(Tell::Credits(credits));
        stream.send(v1::SessionRequest { sequence, message });
        let mut reported = false;
        while !reported {
            let told = stream.next().await.expect("the stream goes on");
            reported = matches!(told, Told::Outcome(_));
        }
        stream.tell(Tell::Leaving(v1::Leaving::default()));
        stream.end().await;
    }
    server.end().await;
}

#[tokio::test]
async fn what_is_no_first_message_is_told_goodbye() {
    let server = Server::open().await;
    let mut firsts: Vec<_> = all_with(&Bytes::new()).into_iter().map(Some).collect();
    firsts.push(None);
    firsts.push(Some(Tell::Resume(v1::Resume::default())));
    firsts.push(Some(Tell::Hello(v1::Hello::default())));
    for message in firsts {
        let mut stream = server.stream("raw").await;
        let sequence = u64::MAX;
        stream.send(v1::SessionRequest { sequence, message });
        let rest = stream.end().await;
        assert!(matches!(&rest[..], [Told::Goodbye(_)]), "{rest:?}");
    }
    server.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_a_stream_and_nothing_else() {
    let server = Server::open().await;
    let frame = |message: Tell| {
        let message = v1::SessionRequest {
            sequence: 1,
            message: Some(message),
        };
        let bytes = message.encode_to_vec();
        let len = u32::try_from(bytes.len()).expect("short");
        [&[0][..], &len.to_be_bytes(), &bytes].concat()
    };
    let whole = [
        frame(Tell::Hello(hello(1))),
        frame(Tell::Credits(v1::Credits::default())),
    ]
    .concat();
    for len in 0..whole.len() {
        server.bytes(whole[..len].to_vec().into()).await;
    }
    for at in 0..whole.len() {
        for bit in [0x01, 0x80] {
            let mut turned = whole.clone();
            turned[at] ^= bit;
            for answer in server.bytes(turned.into()).await {
                assert!(answer.message.is_some());
            }
        }
    }
    let answers = server.bytes(whole.into()).await;
    assert!(matches!(answers[0].message, Some(Told::Welcome(_))));
    server.end().await;
}

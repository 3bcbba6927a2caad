//! Drivers that are slow, deaf, flooding or lying, and followers that do not read: each costs itself only.

use crate::proxy::Proxy;
use crate::raw::{Raw, talk};
use crate::site::{Background, Site};
use crate::tally;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A step of each of two drivers.
const TWO: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: two}
spec:
  steps:
    - {id: odd, needs: [], driver: odd, grace: 1s}
    - {id: good, needs: [], driver: exec, with: {run: echo good}}
";

/// A step that says more than the buffers of a connection have.
pub(crate) const LOGGED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: logged}
spec:
  steps:
    - {id: a, driver: exec, with: {run: \"head -c 15000000 /dev/zero | base64 -w 1000\"}}
";

/// Kilobytes of memory that a process has.
fn resident(server: &Background) -> u64 {
    let path = format!("/proc/{}/status", server.child.id());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("it has memory")
}

/// Work of an honest driver: how long it takes.
fn honest(site: &Site) -> Duration {
    let start = Instant::now();
    let run = site.start("good.yaml");
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    start.elapsed()
}

/// Work of an honest driver beside what is wrong, from now on: it takes about as long as before.
///
/// What is measured is mostly the start of programs on a machine that runs other tests, too, so five times
/// and a second is no loss that a server makes.
fn others_work(site: &Arc<Site>, before: Duration) -> JoinHandle<()> {
    let site = Arc::clone(site);
    tokio::task::spawn_blocking(move || {
        let took = honest(&site);
        let most = 5 * before + Duration::from_secs(1);
        assert!(
            took <= most,
            "an honest run took {took:?}, and {before:?} before: over {most:?}"
        );
    })
}

/// A site, its server, an honest driver, and how long its work takes while nothing is wrong.
fn site() -> (Arc<Site>, Background, Background, Duration) {
    let good = "name: good\nsteps:\n  - {id: a, name: a, driver: exec, with: {run: echo good}}\n";
    let mut site = Site::new(&[("two.yaml", TWO), ("good.yaml", good)]);
    let server = site.serve();
    let exec = site.driver();
    // The first is slower: nothing was read or opened before.
    honest(&site);
    let before = honest(&site).max(honest(&site));
    (Arc::new(site), server, exec, before)
}

/// A driver that holds the task of a step.
async fn holding(site: &Site) -> (Raw, v1::Task) {
    let mut odd = Raw::connect(&site.url, "odd", 1).await;
    odd.credits(1);
    let task = odd.task().await;
    odd.accept(&task);
    (odd, task)
}

#[test]
fn a_driver_that_floods_its_session_costs_the_server_no_memory_and_nobody_any_time() {
    let (site, server, _exec, before) = site();
    let run = site.start("two.yaml");
    talk(async {
        let (mut odd, task) = holding(&site).await;
        let memory = resident(&server);
        let others = others_work(&site, before);
        // Each of these is bounded by itself: of what is under way the newest waits.
        for at in 0_u32..200_000 {
            odd.tell(Tell::Heartbeat(v1::SessionHeartbeat {
                tasks: vec![v1::TaskProgress {
                    token: task.token.clone(),
                    permille: Some(at % 1000),
                    ..v1::TaskProgress::default()
                }],
                ..v1::SessionHeartbeat::default()
            }));
            if at % 20 == 0 {
                odd.tell(Tell::Checkpoint(v1::Checkpoint {
                    token: task.token.clone(),
                    data: vec![7; 4096].into(),
                }));
                // What it sends waits in its own process otherwise.
                tokio::task::yield_now().await;
            }
        }
        others.await.expect("others work on");
        odd.succeed(&task, "{}");
        assert_eq!(odd.outcome().await, v1::ReportStatus::Accepted);
        let after = resident(&server);
        assert!(after < memory + 64 * 1024, "{memory} KiB, then {after} KiB");
    });
    assert_eq!(site.ended(&run)["state"], "succeeded");
    tally::done("a driver floods its session", "messages at once", 210_000);
    tally::held(
        "a driver floods its session",
        "the server grew by less than 64 MiB, and others worked on",
    );
}

#[test]
fn a_driver_that_sends_more_than_its_window_is_told_so_and_its_lines_without_text_count() {
    let (site, _server, _exec, before) = site();
    let run = site.start("two.yaml");
    talk(async {
        let (mut odd, task) = holding(&site).await;
        // All in one go: before the engine can give the window back.
        for batch in 0..200 {
            odd.tell(Tell::Logs(v1::LogBatch {
                token: task.token.clone(),
                first_offset: batch * 10_000,
                lines: vec![v1::LogLine::default(); 10_000],
            }));
        }
        let goodbye = odd.goodbye().await;
        assert_eq!(goodbye.reason(), v1::GoodbyeReason::Limit);
        assert!(
            goodbye.message.contains("log_window"),
            "{}",
            goodbye.message
        );
        others_work(&site, before).await.expect("others work on");
    });
    let view = site.show(&run);
    assert_eq!(
        view["steps"][0]["state"], "running",
        "a goodbye ends no claim: {view:#}"
    );
    tally::held(
        "a driver logs over its window",
        "it is told the limit, and others worked on",
    );
}

#[test]
fn a_batch_with_more_lines_than_one_may_have_names_the_limit() {
    let (site, _server, _exec, _) = site();
    site.start("two.yaml");
    talk(async {
        let mut odd = Raw::connect(&site.url, "odd", 1).await;
        odd.credits(1);
        let task = odd.task().await;
        odd.tell(Tell::Logs(v1::LogBatch {
            token: task.token.clone(),
            first_offset: 0,
            lines: vec![v1::LogLine::default(); 10_001],
        }));
        let goodbye = odd.goodbye().await;
        assert!(
            goodbye.message.contains("log_batch_lines"),
            "{}",
            goodbye.message
        );
    });
    tally::held(
        "a driver logs too many lines at once",
        "it is told the limit",
    );
}

#[test]
fn a_message_that_is_too_long_breaks_its_stream_alone() {
    let (site, server, _exec, before) = site();
    talk(async {
        let mut odd = Raw::connect(&site.url, "odd", 1).await;
        let memory = resident(&server);
        odd.tell(Tell::Checkpoint(v1::Checkpoint {
            token: Vec::new().into(),
            data: vec![0; 80 << 20].into(),
        }));
        let goodbye = odd.goodbye().await;
        assert_eq!(goodbye.reason(), v1::GoodbyeReason::Limit);
        // The name of the limit, its value, and what came: 80 MiB, a token and two lengths.
        for what in ["`message_bytes`", "71303168", "838860"] {
            assert!(goodbye.message.contains(what), "{}", goodbye.message);
        }
        assert_eq!(odd.broken().await, "closed");
        others_work(&site, before).await.expect("others work on");
        let after = resident(&server);
        // It is refused by its length, before it is read.
        assert!(after < memory + 40 * 1024, "{memory} KiB, then {after} KiB");
    });
    tally::held(
        "a driver sends 80 MiB in a message",
        "it is refused before it is read, and others worked on",
    );
}

#[test]
fn what_is_no_message_breaks_its_stream_with_a_status() {
    let (site, _server, _exec, before) = site();
    talk(async {
        let mut odd = Raw::connect(&site.url, "odd", 1).await;
        // A field whose length goes on beyond the message.
        odd.tell_bytes(vec![0x12, 0x7f]);
        let why = odd.broken().await;
        assert!(why.contains("decode"), "{why}");
        others_work(&site, before).await.expect("others work on");
    });
}

#[test]
fn a_task_that_a_deaf_driver_does_not_answer_goes_to_another() {
    let (site, _server, _exec, _) = site();
    let impatient = TWO.replace("grace: 1s", "grace: 1s, timeouts: {heartbeat: 1s}");
    std::fs::write(site.dir.path().join("impatient.yaml"), impatient).expect("it is writable");
    let run = site.start("impatient.yaml");
    talk(async {
        let mut deaf = Raw::connect(&site.url, "odd", 1).await;
        deaf.credits(1);
        let task = deaf.task().await;
        // It never says that it took the task.
        let mut hearing = Raw::connect(&site.url, "odd", 1).await;
        hearing.credits(1);
        let second = hearing.task().await;
        assert_ne!(second.token, task.token);
        hearing.accept(&second);
        hearing.succeed(&second, "{}");
        assert_eq!(hearing.outcome().await, v1::ReportStatus::Accepted);
        // It wakes up.
        deaf.succeed(&task, "{}");
        assert_eq!(deaf.outcome().await, v1::ReportStatus::Stale);
    });
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = &view["steps"][0]["instances"][0]["attempts"];
    assert_eq!(attempts[0]["state"], "lost", "{view:#}");
    assert_eq!(attempts[1]["state"], "succeeded", "{view:#}");
    tally::held(
        "a driver is deaf",
        "its task went to another, and its late result was stale",
    );
}

#[test]
fn a_driver_that_reads_and_answers_slowly_costs_nobody_else_any_time() {
    let (site, _server, _exec, before) = site();
    let proxy = Proxy::new(&site.url);
    let run = site.start("two.yaml");
    talk(async {
        let mut slow = Raw::connect(&proxy.url(), "odd", 1).await;
        proxy.slow(Duration::from_millis(500));
        slow.credits(1);
        let task = slow.task().await;
        // So slow that the task is sent again: under the same token, for nobody lost it.
        others_work(&site, before).await.expect("others work on");
        let again = slow.task().await;
        assert_eq!(again.token, task.token);
        slow.accept(&again);
        others_work(&site, before).await.expect("others work on");
        slow.succeed(&again, "{}");
        assert_eq!(slow.outcome().await, v1::ReportStatus::Accepted);
    });
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let attempts = view["steps"][0]["instances"][0]["attempts"].as_array();
    assert_eq!(attempts.map(Vec::len), Some(1), "{view:#}");
    tally::held(
        "a driver is slow",
        "its task was sent again and ended in its first attempt, and others worked on",
    );
}

#[test]
fn a_driver_that_reads_nothing_holds_nobody_up() {
    let (site, server, _exec, before) = site();
    site.start("two.yaml");
    talk(async {
        let (mut odd, _) = holding(&site).await;
        let memory = resident(&server);
        // Each of these has an answer, which it does not take.
        for _ in 0..100_000 {
            odd.tell(Tell::Checkpoint(v1::Checkpoint {
                token: vec![1; 64].into(),
                data: Vec::new().into(),
            }));
        }
        others_work(&site, before).await.expect("others work on");
        let after = resident(&server);
        assert!(after < memory + 64 * 1024, "{memory} KiB, then {after} KiB");
    });
    tally::held(
        "a driver reads nothing",
        "the server grew by less than 64 MiB, and others worked on",
    );
}

#[test]
fn a_result_after_a_cancel_or_said_twice_changes_nothing() {
    let (site, _server, _exec, _) = site();
    let run = site.start("two.yaml");
    talk(async {
        let (mut odd, task) = holding(&site).await;
        assert_eq!(site.conveyor(&["cancel", &run]).status, 0);
        let cancel = odd
            .until("a cancel", |told| match told {
                Told::Cancel(cancel) => Some(cancel),
                _ => None,
            })
            .await;
        assert_eq!((cancel.token, cancel.grace_ms), (task.token.clone(), 1000));
        // It works on, and is over its grace: its lease is gone.
        let over = odd
            .until("the end of its claim", |told| match told {
                Told::Cancel(cancel) => (cancel.grace_ms == 0).then_some(cancel.token),
                _ => None,
            })
            .await;
        assert_eq!(over, task.token);
        for _ in 0..3 {
            odd.succeed(&task, "{\"late\": true}");
            assert_eq!(odd.outcome().await, v1::ReportStatus::Stale);
        }
    });
    let view = site.ended(&run);
    assert_eq!(view["state"], "cancelled", "{view:#}");
    assert_eq!(view["steps"][0]["state"], "cancelled", "{view:#}");
    tally::held(
        "a driver lies: results after a cancel, and twice",
        "they were stale and changed nothing",
    );
}

#[test]
fn a_driver_of_a_later_contract_is_understood_as_far_as_this_one_goes() {
    let (site, _server, _exec, before) = site();
    let run = site.start("two.yaml");
    talk(async {
        let mut odd = Raw::of_later(&site.url, "odd").await;
        odd.tell_of_later();
        odd.credits(1);
        let task = odd.task().await;
        odd.accept(&task);
        odd.tell(Tell::Logs(v1::LogBatch {
            token: task.token.clone(),
            first_offset: 0,
            lines: vec![v1::LogLine {
                // A stream that this contract has no name for.
                stream: 99,
                text: "said".into(),
                ..v1::LogLine::default()
            }],
        }));
        odd.tell_of_later();
        odd.succeed(&task, "{}");
        assert_eq!(odd.outcome().await, v1::ReportStatus::Accepted);
        others_work(&site, before).await.expect("others work on");
    });
    let view = site.ended(&run);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    assert!(site.log(&run).contains("said"), "{}", site.log(&run));
    tally::held(
        "a driver of a later contract",
        "fields, messages and values that are not known were left out, and its task ended well",
    );
}

#[test]
fn followers_that_read_nothing_keep_the_log_out_of_the_servers_memory() {
    let mut site = Site::new(&[("logged.yaml", LOGGED)]);
    let server = site.serve();
    let _driver = site.driver();
    let run = site.start("logged.yaml");
    let read = || {
        let read = site.conveyor(&["logs", "-f", &run]);
        assert_eq!((read.status, read.out.lines().count()), (0, 20_000));
    };
    // Its last lines may come after its end.
    read();
    let before = resident(&server);
    let address = site.url.trim_start_matches("http://");
    let deaf = |_| {
        let mut stream = TcpStream::connect(address).expect("the server answers");
        let head = format!("GET /v1/runs/{run}/logs HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("it is answered");
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let deaf: Vec<_> = (0..40).map(deaf).collect();
    // Until somebody who came later has all of it, the server had time for them.
    read();
    let more = resident(&server).saturating_sub(before);
    // All of it would be 800 MB.
    assert!(more < 100_000, "{more} kB for {} followers", deaf.len());
}

//! Log lines of a run: whoever comes back has each once, and what is not asked for is not read.

mod ends;
mod tails;

use crate::start;
use crate::stream::{PATIENCE, about};
use conveyor_engine::time::Time;
use conveyor_node::driver::{
    ActionInfo, Context, Driver, DriverInfo, LogLine, LogStream, Outcome, Task,
};
use conveyor_node::{Adopt, Clock, Config, Node, RunId, SystemClock};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::read_logs_response::Item;
use conveyor_service::{About, ControlHandlers};
use conveyor_store::{Memory, Store};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};

/// Attempts that run at once.
const MANY: u32 = 1500;

/// A driver whose tasks say how far the test is, and end with it: two lines at once, a third in the
/// second phase. Odd instances end in the third phase, even ones in the fourth.
struct Phased(watch::Receiver<u32>);

async fn say(context: &Context, text: &str) {
    let line = LogLine {
        time: Time(1),
        stream: LogStream::Log,
        text: text.as_bytes().to_vec().into(),
        goes_on: false,
    };
    context.logs.send(line).await;
}

impl Driver for Phased {
    fn info(&self) -> DriverInfo {
        let action = ActionInfo {
            name: "run".into(),
            inputs: None,
            outputs: None,
        };
        DriverInfo {
            name: "exec".into(),
            version: "1.0.0".into(),
            actions: vec![action],
        }
    }

    fn run(&self, task: Task, context: Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let mut phase = self.0.clone();
        Box::pin(async move {
            say(&context, "one").await;
            say(&context, "two").await;
            phase.wait_for(|phase| *phase >= 2).await.expect("a test");
            say(&context, "three").await;
            let end = if task.instance % 2 == 1 { 3 } else { 4 };
            phase.wait_for(|phase| *phase >= end).await.expect("a test");
            Outcome::Succeeded(serde_json::json!({}))
        })
    }
}

/// A server of these drivers.
pub(crate) struct Setup {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) drivers: Vec<Arc<dyn Driver>>,
    pub(crate) capacity: u32,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            store: Arc::new(Memory::new()),
            drivers: Vec::new(),
            capacity: 0,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Setup {
    /// Handlers of a server.
    pub(crate) async fn open(self) -> ControlHandlers {
        let config = Config::new(self.store, self.drivers, tokio::runtime::Handle::current());
        let node = Node::open(Config {
            adopt: Adopt::All,
            capacity: self.capacity,
            clock: self.clock,
            ..config
        });
        let about = About {
            capacity: self.capacity,
            ..about()
        };
        ControlHandlers::new(node.await.expect("a node"), about)
    }
}

fn following(run: &str, after: &str) -> v1::ReadLogsRequest {
    v1::ReadLogsRequest {
        run: run.to_owned(),
        follow: true,
        after: after.to_owned(),
        ..v1::ReadLogsRequest::default()
    }
}

/// What a reader has: lines by instance and offset, instances whose logs have ended. Twice is an error.
#[derive(Clone, Default)]
struct Had {
    lines: BTreeSet<(u32, u64)>,
    ended: BTreeSet<u32>,
    over: bool,
}

impl Had {
    /// Takes an answer, and gives where to go on after it.
    fn take(&mut self, answer: v1::ReadLogsResponse) -> Option<String> {
        match answer.item.expect("it has an item") {
            Item::Records(records) => {
                for record in &records.records {
                    let id = record.id.as_ref().expect("it has an id");
                    let new = self.lines.insert((id.instance, record.offset));
                    assert!(new, "{} {} comes again", id.instance, record.offset);
                }
                Some(records.cursor)
            }
            Item::LogEnd(end) => {
                let instance = end.id.expect("it has an id").instance;
                assert!(self.ended.insert(instance), "{instance} ends again");
                Some(end.cursor)
            }
            Item::End(_) => {
                self.over = true;
                None
            }
        }
    }
}

/// Reads until `enough`. The first places and some of the others, each with what a reader there has; the last
/// of them is where it stopped.
async fn read(
    handlers: &ControlHandlers,
    request: v1::ReadLogsRequest,
    mut had: Had,
    enough: impl Fn(&Had) -> bool,
) -> Vec<(String, Had)> {
    let stream = handlers.read_logs(Request::new(request)).await;
    let mut stream = stream.expect("a stream").into_inner();
    let (mut places, mut count) = (Vec::new(), 0);
    let mut place = String::new();
    while !enough(&had) {
        if !place.is_empty() && (count < 5 || count % 307 == 0) {
            places.push((place, had.clone()));
        }
        count += 1;
        let answer = tokio::time::timeout(PATIENCE, stream.next()).await;
        let answer = answer.expect("it comes in time").expect("it goes on");
        place = had.take(answer.expect("it is told")).unwrap_or_default();
        assert!(place.len() <= 4096, "{place}");
        assert_eq!(place.is_empty(), had.over);
    }
    places.push((place, had));
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_1500_open_logs_comes_back_after_any_answer() {
    let (phase, phased) = watch::channel(1);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: MANY,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = format!(
        "{{steps: [{{id: a, driver: exec, foreach: {{items: '${{{{ lists.range({MANY}) }}}}'}}}}]}}"
    );
    let run = start(&handlers, &spec).await;
    let all = MANY as usize;
    // All are open, and none is read whole.
    let first = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.lines.len() == 2 * all
    });
    let first = first.await;
    for (place, had) in &first {
        let request = following(&run, place);
        read(&handlers, request, had.clone(), |had| {
            had.lines.len() == 2 * all
        })
        .await;
    }
    let (place, had) = first.last().cloned().expect("a place");
    phase.send_replace(2);
    let second = read(&handlers, following(&run, &place), had, |had| {
        had.lines.len() == 3 * all
    });
    let second = second.await;
    let (place, had) = second.last().cloned().expect("a place");
    // Each second one ends.
    phase.send_replace(3);
    let third = read(&handlers, following(&run, &place), had, |had| {
        had.ended.len() == all / 2
    });
    let third = third.await;
    for (place, had) in first.iter().chain(&second).chain(&third) {
        let request = following(&run, place);
        read(&handlers, request, had.clone(), |had| {
            had.lines.len() == 3 * all && had.ended.len() == all / 2
        })
        .await;
    }
    let (place, had) = third.last().cloned().expect("a place");
    phase.send_replace(4);
    let last = read(&handlers, following(&run, &place), had, |had| had.over).await;
    let places = first.iter().chain(&second).chain(&third).chain(&last);
    for (place, had) in places.filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, following(&run, place), had.clone(), |had| {
            had.over
        })
        .await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!((had.lines.len(), had.ended.len()), (3 * all, all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_more_records_than_are_read_at_once_is_gone_on_with() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec, foreach: {items: '${{ lists.range(1200) }}'}}]}";
    let run = start(&handlers, spec).await;
    let all = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    let id = RunId::parse(&run).expect("an id");
    let records = handlers.node().reader().records(id, 0, 5000).await;
    assert!(
        records.expect("they are read").len() > 512,
        "a page has 256"
    );
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, following(&run, place), had.clone(), |had| {
            had.over
        })
        .await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!((had.lines.len(), had.ended.len()), (3600, 1200));
    }
    let of = all[1].0.split(';').next().expect("it says of what it is");
    let beyond = format!("{of};1201;0-1;1200:3");
    let refused = handlers
        .read_logs(Request::new(following(&run, &beyond)))
        .await;
    assert_eq!(
        refused.map(|_| ()).expect_err("it has 1200").code(),
        Code::OutOfRange
    );
    let unwritten = format!("{of};0;0-99999999;0:1");
    let refused = handlers
        .read_logs(Request::new(following(&run, &unwritten)))
        .await;
    assert_eq!(
        refused.map(|_| ()).expect_err("it is of later").code(),
        Code::OutOfRange
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_for_the_logs_that_it_came_from() {
    let (_phase, phased) = watch::channel(4);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 4,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let spec = "{steps: [{id: a, driver: exec}, {id: b, driver: exec}]}";
    let (run, other) = (start(&handlers, spec).await, start(&handlers, spec).await);
    let of_step = |run: &str, after: &str| v1::ReadLogsRequest {
        step: "a".to_owned(),
        ..following(run, after)
    };
    let all = read(&handlers, of_step(&run, ""), Had::default(), |had| had.over).await;
    for (place, had) in all.iter().filter(|(place, _)| !place.is_empty()) {
        let rest = read(&handlers, of_step(&run, place), had.clone(), |had| had.over).await;
        let (_, had) = rest.last().expect("an end");
        assert_eq!(had.lines.len(), 3, "after {place}");
        let asked = of_step(&run, place);
        for (what, asked) in [
            ("all steps", following(&run, place)),
            ("another run", of_step(&other, place)),
            (
                "another step",
                v1::ReadLogsRequest {
                    step: "b".to_owned(),
                    ..asked.clone()
                },
            ),
            (
                "an instance",
                v1::ReadLogsRequest {
                    instance: Some(0),
                    ..asked.clone()
                },
            ),
            (
                "an attempt",
                v1::ReadLogsRequest {
                    attempt: Some(1),
                    ..asked
                },
            ),
        ] {
            let answer = handlers.read_logs(Request::new(asked)).await;
            let status = answer.map(|_| ()).expect_err(what);
            assert_eq!(status.code(), Code::InvalidArgument, "{what}");
            let words = "a cursor of another run, or of another step, instance or attempt";
            assert!(status.message().contains(words), "{what}: {status}");
        }
    }
}

//! A run ends, and then its server, while somebody who follows the run is looking at it.

use crate::logs::Setup;
use crate::stream::PATIENCE;
use crate::{get, start};
use conveyor_node::{RunId, keys};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use conveyor_store::{
    CommitError, Direction, Error, KeyRange, Limits, Memory, Page, Stats, Store, Transaction,
};
use std::sync::{Arc, Mutex, mpsc};
use tokio_stream::StreamExt as _;
use tonic::{Request, Status};

const WAITS: &str = "{steps: [{id: a, wait: {duration: 1h}}]}";

/// A store in which one look behind what was in a journal takes as long as a test says: it brings what was there as the
/// look began.
struct Looked {
    memory: Memory,
    /// The look is told of, and goes on when it is told to.
    held: Mutex<Option<Held>>,
}

struct Held {
    /// Whose records.
    run: RunId,
    /// Whether it finds something.
    finds: bool,
    /// Where the look begins, at least.
    first: Vec<u8>,
    seen: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Looked {
    /// Holds the next look behind what is there of the run now, one that finds something or one that does not. Gives when it has come, and what lets it go on.
    fn hold(&self, run: RunId, finds: bool) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let all = KeyRange::prefix(keys::records(run));
        let newest = self.memory.scan(&all, Direction::Reverse, 1);
        let mut first = newest.expect("it is read").entries[0].0.to_vec();
        first.push(0);
        let ((seen, has_come), (lets, go_on)) = (mpsc::channel(), mpsc::channel());
        let held = Held {
            run,
            finds,
            first,
            seen,
            go_on,
        };
        *self.held.lock().expect("nobody panics") = Some(held);
        (has_come, lets)
    }
}

impl Store for Looked {
    fn get(&self, key: &[u8]) -> Result<Option<conveyor_store::Bytes>, Error> {
        self.memory.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let page = self.memory.scan(range, direction, limit)?;
        let is_it = |held: &mut Held| {
            let of_the_run = range.start.starts_with(&keys::records(held.run));
            of_the_run && *range.start >= held.first[..] && held.finds != page.entries.is_empty()
        };
        let held = self.held.lock().expect("nobody panics").take_if(is_it);
        if let Some(held) = held {
            held.seen.send(()).expect("the test is there");
            held.go_on.recv_timeout(PATIENCE).expect("it goes on");
        }
        Ok(page)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        self.memory.commit(transaction)
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.memory.stats()
    }
}

/// Ends a run, and then its server, while a look at its journal takes long, that of whoever follows it; the look is made
/// as something comes of the run.
async fn end_within_a_look((store, finds): (&Looked, bool), handlers: &ControlHandlers, run: &str) {
    let id = RunId::parse(run).expect("an id");
    let (has_come, lets) = store.hold(id, finds);
    let pause = v1::PauseRunRequest {
        run: run.to_owned(),
        ..v1::PauseRunRequest::default()
    };
    let paused = handlers.pause_run(Request::new(pause)).await;
    paused.expect("it is paused");
    let come = tokio::task::spawn_blocking(move || has_come.recv_timeout(PATIENCE));
    come.await.expect("no panic").expect("somebody looks");
    let stop = v1::StopRunRequest {
        run: run.to_owned(),
        kind: v1::StopKind::Terminate.into(),
        ..v1::StopRunRequest::default()
    };
    let stopped = handlers.stop_run(Request::new(stop)).await;
    stopped.expect("it is stopped");
    let ended = async {
        loop {
            let told = v1::GetRunRequest {
                run: run.to_owned(),
                ..v1::GetRunRequest::default()
            };
            let told = get(handlers, told).await.expect("a run").run;
            let state = told.expect("told").state();
            if state == v1::RunState::Cancelled {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("it ends");
    handlers.gate().close();
    lets.send(()).expect("it waits");
}

/// A run that goes on, of a server.
async fn running() -> (Arc<Looked>, ControlHandlers, String) {
    let store = Arc::new(Looked {
        memory: Memory::new(),
        held: Mutex::default(),
    });
    let setup = Setup {
        store: store.clone(),
        ..Setup::default()
    };
    let handlers = setup.open().await;
    let run = start(&handlers, WAITS).await;
    (store, handlers, run)
}

/// The last item of a stream that ends as it should.
async fn last<T>(mut stream: impl tokio_stream::Stream<Item = Result<T, Status>> + Unpin) -> T {
    let mut last = None;
    while let Some(told) = stream.next().await {
        last = Some(told.expect("nobody is told to come back"));
    }
    last.expect("something is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_events_sees_the_end_that_came_before_the_server_s() {
    use v1::watch_run_events_response::Item;
    let (store, handlers, run) = running().await;
    let watch = v1::WatchRunEventsRequest {
        run: run.clone(),
        follow: true,
        ..v1::WatchRunEventsRequest::default()
    };
    let events = handlers.watch_run_events(Request::new(watch)).await;
    let mut events = events.expect("a stream").into_inner();
    // It has what there is, and waits for more.
    for _ in 0..2 {
        let told = events.next().await.expect("it goes on").expect("an event");
        assert!(matches!(told.item, Some(Item::Event(_))), "{told:?}");
    }
    // Events are read until there are no more.
    end_within_a_look((&store, false), &handlers, &run).await;
    let Some(Item::End(end)) = last(events).await.item else {
        panic!("it has no end");
    };
    assert_eq!(end.state(), v1::RunState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_logs_sees_the_end_that_came_before_the_server_s() {
    use v1::read_logs_response::Item;
    let (store, handlers, run) = running().await;
    let follow = v1::ReadLogsRequest {
        run: run.clone(),
        follow: true,
        ..v1::ReadLogsRequest::default()
    };
    let logs = handlers.read_logs(Request::new(follow)).await;
    let logs = logs.expect("a stream").into_inner();
    // Records are read once.
    end_within_a_look((&store, true), &handlers, &run).await;
    assert!(matches!(last(logs).await.item, Some(Item::End(_))));
}

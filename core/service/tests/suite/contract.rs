//! The contract's data is what the engine does.

use crate::support::Hand;
use conveyor_node::driver::ActionInfo;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{Hello, Link, Session};
use conveyor_node::{Clock, Config, Node};
use conveyor_service::contract::{Cause, Row, SESSION, SessionState, timings};
use conveyor_store::Memory;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// How far the clock goes at once: whoever looks at its leases later than a second is careful with them.
const STEP: u64 = 500;

/// A node, and one session of it.
struct World {
    node: Node,
    hand: Arc<Hand>,
    known: Option<(Session, Vec<u8>)>,
    link: Option<Link>,
    generation: u64,
}

fn hello() -> Hello {
    let action = ActionInfo {
        name: "run".into(),
        inputs: None,
        outputs: None,
    };
    Hello {
        principal: "local".into(),
        scope: None,
        driver: "d".into(),
        version: "1.0.0".into(),
        actions: vec![(action, String::new())],
        capacity: 1,
        labels: BTreeMap::new(),
        queues: Vec::new(),
        sdk: "test".to_owned(),
        instance: String::new(),
        adopts: Vec::new(),
    }
}

impl World {
    async fn new() -> World {
        let hand = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
        let store = Arc::new(Memory::new());
        let config = Config {
            clock: Arc::clone(&hand) as Arc<dyn Clock>,
            ..Config::new(store, Vec::new(), tokio::runtime::Handle::current())
        };
        World {
            node: Node::open(config).await.expect("a node"),
            hand,
            known: None,
            link: None,
            generation: 0,
        }
    }

    fn state(&self) -> SessionState {
        let Some((session, _)) = &self.known else {
            return SessionState::New;
        };
        let sessions = self.node.sessions();
        let record = sessions.iter().find(|one| one.stored.id == **session.id());
        match record {
            None => SessionState::Over,
            Some(record) if !record.connected => SessionState::Away,
            Some(record) if record.draining => SessionState::Draining,
            Some(_) => SessionState::Connected,
        }
    }

    async fn bring(&mut self, state: SessionState) {
        let causes: &[Cause] = match state {
            SessionState::New => &[],
            SessionState::Connected => &[Cause::Hello],
            SessionState::Draining => &[Cause::Hello, Cause::Drain],
            SessionState::Away => &[Cause::Hello, Cause::Break],
            SessionState::Over => &[Cause::Hello, Cause::Leaving],
        };
        for cause in causes {
            self.cause(*cause).await;
        }
        self.comes_to(state).await;
    }

    async fn cause(&mut self, cause: Cause) {
        match cause {
            Cause::Hello => {
                let (link, _) = self.node.open_session(hello()).await.expect("a session");
                let session = link.session();
                let secret = self.node.resume_secret(&session);
                (self.known, self.link) = (Some((session, secret)), Some(link));
            }
            Cause::Heartbeat => {
                let stale = self.session().heartbeat(Vec::new(), Some(1)).await;
                assert!(stale.expect("it is answered").is_empty());
            }
            Cause::Drain => self.tell(SessionEvent::Draining),
            Cause::Leaving => self.tell(SessionEvent::Left),
            Cause::Break => drop(self.link.take()),
            Cause::Silence(millis) => self.wait(millis).await,
            Cause::Resume => {
                self.generation += 1;
                let resumed = self.resume(self.generation).await;
                // Of one that is over there is nothing to go on with.
                self.link = resumed.or(self.link.take());
            }
            Cause::OldResume => {
                self.cause_resume_twice().await;
            }
        }
    }

    /// A newer connection, and then an older one.
    async fn cause_resume_twice(&mut self) {
        self.generation += 1;
        self.link = self.resume(self.generation).await;
        assert!(self.link.is_some(), "it is the newest");
        assert!(self.resume(self.generation).await.is_none(), "it is not");
    }

    async fn resume(&self, generation: u64) -> Option<Link> {
        let (session, secret) = self.known.as_ref().expect("it said hello");
        let named = |_: &Session| Some(Vec::new());
        let resumed = self
            .node
            .resume_session(session.id(), secret, Some(generation), named);
        resumed.await.ok().map(|(link, _)| link)
    }

    fn session(&self) -> &Session {
        &self.known.as_ref().expect("it said hello").0
    }

    fn tell(&self, event: SessionEvent) {
        self.session().tell(event).expect("the node is there");
    }

    /// So much time passes, and not much more: just before, nothing has changed.
    async fn wait(&self, millis: u64) {
        let before = self.state();
        let end = self.hand.0.load(Ordering::SeqCst) + millis;
        while self.hand.0.load(Ordering::SeqCst) + 2 * STEP < end {
            self.pass().await;
            assert_eq!(self.state(), before, "it was too early");
        }
        let patience = Instant::now() + PATIENCE;
        while self.state() == before && Instant::now() < patience {
            self.pass().await;
            let now = self.hand.0.load(Ordering::SeqCst);
            assert!(now < end + 20 * STEP, "{} ms too late", now - end);
        }
    }

    /// A moment passes, and the node sees it.
    async fn pass(&self) {
        self.hand.0.fetch_add(STEP, Ordering::SeqCst);
        // Any other session's hello makes it look at the time.
        let other = self.node.open_session(hello()).await;
        let (link, _) = other.expect("a session");
        link.session()
            .tell(SessionEvent::Left)
            .expect("it is there");
        let asked = link.session().standing(Vec::new()).await;
        asked.expect("it is answered");
    }

    async fn comes_to(&self, state: SessionState) {
        let patience = Instant::now() + PATIENCE;
        while self.state() != state {
            assert!(Instant::now() < patience, "{} is not {state}", self.state());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn every_row_of_the_sessions_states_is_what_the_engine_does() {
    for Row { from, on, to, .. } in SESSION {
        let mut world = World::new().await;
        world.bring(*from).await;
        world.cause(*on).await;
        let told = async {
            world.comes_to(*to).await;
            // What was told before has been taken then.
            world.pass().await;
            assert_eq!(world.state(), *to, "{from}, {on}");
        };
        let told = tokio::time::timeout(PATIENCE * 2, told).await;
        told.unwrap_or_else(|_| panic!("{from}, {on}: it is {}", world.state()));
        world.node.shutdown().await.expect("it was there");
    }
}

#[test]
fn every_state_is_reached_and_left_and_no_row_is_twice() {
    use SessionState::{Away, Connected, Draining, New, Over};
    for state in [Connected, Draining, Away, Over] {
        assert!(SESSION.iter().any(|row| row.to == state), "{state}");
    }
    for state in [New, Connected, Draining, Away] {
        let left = SESSION
            .iter()
            .any(|row| row.from == state && row.to != state);
        assert!(left, "{state}");
    }
    let mut seen: Vec<_> = SESSION.iter().map(|row| (row.from, row.on)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), SESSION.len());
}

/// The table of the contract's text: what, and how long.
fn told() -> Vec<String> {
    let text = conveyor_proto::contract::TEXT;
    let table = text.split("## Timings\n").nth(1).expect("it has the table");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(str::to_owned).collect()
}

#[test]
fn the_contracts_text_tells_the_timings_of_the_code() {
    let told = told();
    for timing in timings() {
        let seconds = match timing.ms {
            ms if ms % 60_000 == 0 && ms > 60_000 => format!("{} min", ms / 60_000),
            ms => format!("{} s", ms / 1000),
        };
        let row = told
            .iter()
            .find(|row| row.starts_with(&format!("| `{}` |", timing.name)));
        let row = row.unwrap_or_else(|| panic!("no row tells `{}`", timing.name));
        assert!(row.contains(&seconds), "{seconds}: {row}");
        assert!(row.contains(timing.rule), "{}: {row}", timing.rule);
    }
    assert_eq!(told.len(), timings().len(), "{told:#?}");
}

#[test]
fn the_contracts_text_has_every_row_of_the_states() {
    let text = conveyor_proto::contract::TEXT;
    for Row {
        from,
        on,
        to,
        effect,
    } in SESSION
    {
        let row = format!("| {from} | {on} | {to} | {effect} |");
        assert!(text.contains(&row), "{row}");
    }
}

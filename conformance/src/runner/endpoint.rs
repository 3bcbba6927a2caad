//! A driver that somebody else starts, perhaps within a debugger: where it is waited for, which cases it can be tested
//! with, and what stays of the first meeting.

use super::probe::UNDER_TEST;
use crate::backend::Setting;
use crate::describe::{CAPACITY, DRAIN};
use crate::names::RunName;
use crate::script::Stage;
use crate::v1;
use crate::wire::{Entry, From, Record};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a case needs that does something to the driver's process, or wants it to be started otherwise. No driver's
/// feature is called so.
pub(super) const STARTED: &str = "to start the driver";
/// Who is waited for longer is told of.
const MOMENT: Duration = Duration::from_secs(1);

/// Where a driver is waited for that somebody else starts.
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: SocketAddr,
    waits: Option<UnboundedSender<RunName>>,
    /// By which way it came first, as `Launch.transport` calls them: it was started so.
    way: Option<&'static str>,
}

impl Endpoint {
    /// An address to listen at, one case after the other: its port is not 0.
    #[must_use]
    pub fn new(address: SocketAddr) -> Endpoint {
        Endpoint {
            address,
            waits: None,
            way: None,
        }
    }

    /// The same, with whom is told for which run the driver is waited for again, each time that it takes more than a
    /// second.
    #[must_use]
    pub fn telling(address: SocketAddr) -> (Endpoint, UnboundedReceiver<RunName>) {
        let (waits, told) = unbounded_channel();
        let endpoint = Endpoint {
            waits: Some(waits),
            ..Endpoint::new(address)
        };
        (endpoint, told)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the driver is to find in its environment. How it is to talk, in `CONVEYOR_CONFORMANCE_TRANSPORT`, is for who
    /// starts it to choose.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CONVEYOR_URL", format!("http://{}", self.address)),
            ("CONVEYOR_CONFORMANCE_DRIVER", UNDER_TEST.to_owned()),
            ("CONVEYOR_CONFORMANCE_VERSION", "1.0.0".to_owned()),
            ("CONVEYOR_CONFORMANCE_CAPACITY", CAPACITY.to_string()),
            ("CONVEYOR_CONFORMANCE_DRAIN_MS", DRAIN.to_string()),
        ]
    }

    /// It came so, and is tested so: who is not started cannot be told to talk otherwise.
    pub(super) fn came_by(&mut self, way: Option<&'static str>) {
        self.way = way;
    }

    /// Whether a driver that declares a feature can be tested for it here.
    pub(super) fn can(&self, feature: &str) -> bool {
        match feature {
            "stream" | "unary" | "rest" => self.way.is_none_or(|way| way == feature),
            "tls" | "unix" | "concurrency" => false,
            _ => true,
        }
    }

    /// Does a run's work. Who waits in it for the driver for longer than a moment is told of.
    pub(super) async fn waiting<T>(
        &self,
        run: &RunName,
        record: &Record,
        work: impl Future<Output = T>,
    ) -> T {
        let tell = async {
            tokio::time::sleep(MOMENT).await;
            if !came(record)
                && let Some(waits) = &self.waits
            {
                // Who does not listen any more wants to hear nothing.
                let _ = waits.send(run.clone());
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = work => done,
            never = tell => match never {},
        }
    }

    /// That nobody came, and what to do.
    pub(super) fn nobody(&self, within: Duration) -> String {
        format!(
            "nobody came to {address} within {} ms: start the driver with CONVEYOR_URL=http://{address}, or give it longer by `start_ms` of the config",
            within.as_millis(),
            address = self.address
        )
    }

    /// Why the suite ends where nobody comes any more.
    pub(super) fn nobody_again(&self, run: &RunName, left: usize) -> String {
        format!(
            "nobody came to {} again for {run}, and {left} more runs were not begun: each has an engine of its own, to which the driver comes back as to one that was restarted (`adoption`); start it again meanwhile, or include one run",
            self.address
        )
    }
}

/// Whether the driver has come. Who asks for a session of another engine, and does not begin anew, has not.
pub(super) fn came(record: &Record) -> bool {
    let said = |entry: &Entry| entry.from == From::Driver && entry.kind == "hello";
    record.find(0, |entry, _| said(entry)).is_some()
}

/// Whether nobody has said anything.
pub(super) fn is_silent(record: &Record) -> bool {
    let said = record.find(0, |entry, _| entry.from == From::Driver);
    said.is_none()
}

/// Whether a case does something to the driver's process, looks at it, or wants it to be started otherwise than another.
pub(super) fn is_arranged(case: &v1::Case) -> bool {
    use v1::step::Step as What;
    let setting = case.setting.clone().unwrap_or_default();
    let otherwise =
        setting.capacity > 0 || setting.drain_ms > 0 || setting.access || setting.unstarted;
    let of_process = |step: &v1::Step| {
        matches!(
            step.step,
            Some(What::Start(_) | What::Signal(_) | What::Exited(_) | What::Alone(_))
        )
    };
    otherwise || case.script.iter().any(of_process)
}

/// What stays of the first meeting: the driver is where it came to, and its first case begins there. So one that cannot
/// come back, or is held by a debugger, has a case.
pub(super) struct Kept {
    pub(super) stage: Stage,
    /// Its files.
    pub(super) directory: TempDir,
}

/// Whether a case can begin where the first meeting was: the engine is arranged as there, and nothing was to be said to the
/// driver at first that was not.
pub(super) fn begins_there(setting: &v1::Setting, engine: &Setting) -> bool {
    *engine == Setting::default() && setting.welcome.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_need_the_driver_s_process_are_not_for_one_that_somebody_else_started() {
        let cases = crate::contract::embedded("contract").expect("cases");
        let arranged = |name: &str| {
            let case = cases.iter().find(|case| case.name == name);
            is_arranged(case.expect("a case"))
        };
        // A signal; a capacity of its own; a start of its own; nothing of that.
        assert!(arranged("handshake/hello/not-when-it-leaves"));
        assert!(arranged("handshake/numbering/under-load"));
        assert!(arranged("handshake/hello/in-time"));
        assert!(!arranged("handshake/resume/in-time"));
    }

    #[test]
    fn a_driver_that_came_one_way_is_tested_so_alone() {
        let mut endpoint = Endpoint::new(([127, 0, 0, 1], 7421).into());
        endpoint.came_by(Some("rest"));
        let can = ["stream", "unary", "rest", "tls", "concurrency", "logs"];
        let can: Vec<_> = can.into_iter().filter(|word| endpoint.can(word)).collect();
        assert_eq!(can, ["rest", "logs"]);
    }
}

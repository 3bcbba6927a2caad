//! Why something is not running.

use conveyor_engine::plan::{Plan, StepIndex, version_satisfies};
use conveyor_engine::run::{Identity, Waiting};
use conveyor_engine::time::Time;
use conveyor_node::owner::Standing;
use conveyor_node::session::Progress;
use conveyor_proto::v1;
use conveyor_proto::v1::waiting_for::What;
use std::collections::BTreeMap;

/// How many steps are named; the message tells how many more.
const NAMED: usize = 100;
/// How many steps a message names.
const SAID: usize = 5;

/// What this process knows besides the run.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// Whether nobody moves the run.
    pub(crate) interrupted: bool,
    /// The drivers that there are for it.
    pub(crate) drivers: Vec<Offered>,
    /// How far attempts are, as their drivers told.
    pub(crate) progress: BTreeMap<Identity, Progress>,
}

/// A driver that somebody offers.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) name: String,
    pub(crate) version: String,
    /// How many tasks it takes at once.
    pub(crate) capacity: u32,
    /// Whether it is published in the run's own namespace: it wins there (PROTOCOL P27).
    pub(crate) own: bool,
    /// What its session holds and takes now.
    pub(crate) standing: Standing,
}

impl Around {
    /// Those that a step's driver is offered by.
    fn offering(&self, name: &str, version: Option<&str>) -> Vec<&Offered> {
        let named = self.drivers.iter().filter(|offered| offered.name == name);
        let own = named.clone().any(|offered| offered.own);
        let offering = named
            .filter(|offered| offered.own == own)
            .filter(|offered| {
                version.is_none_or(|wanted| version_satisfies(wanted, &offered.version))
            });
        offering.collect()
    }

    /// What those hold and take together that may take a step's; `None` where nobody may.
    fn capacity(&self, name: &str, version: Option<&str>) -> Option<v1::WaitingForCapacity> {
        let mut serving = self.offering(name, version);
        serving.retain(|offered| !offered.standing.draining);
        let refused = serving.iter().map(|offered| offered.standing.refused);
        let refused: Option<Vec<_>> = refused.collect();
        // The first of them that may be asked again.
        let refused = refused.and_then(|until| until.into_iter().min());
        let each = || serving.iter();
        (!serving.is_empty()).then(|| v1::WaitingForCapacity {
            driver: name.to_owned(),
            capacity: each().map(|offered| offered.capacity).sum(),
            held: each().map(|offered| offered.standing.held).sum(),
            free: each().map(|offered| offered.standing.free).sum(),
            refused_until_ms: refused.map(|until| until.0),
        })
    }
}

/// Why nobody takes it, for people.
fn busy(told: &v1::WaitingForCapacity) -> String {
    let v1::WaitingForCapacity {
        driver,
        capacity,
        held,
        free,
        refused_until_ms,
        ..
    } = told;
    match refused_until_ms {
        Some(until) => format!(
            "the driver `{driver}`, which refused a task and is asked again at {}",
            Time(*until)
        ),
        None if *free == 0 && held < capacity => format!(
            "the driver `{driver}` to ask for tasks: it holds {held} of {capacity}, and does not poll now"
        ),
        None => format!("a free place of `{driver}`, which holds {held} of {capacity}"),
    }
}

pub(crate) fn waiting(
    plan: &Plan,
    step: StepIndex,
    attempts: u32,
    waiting: &Waiting,
    around: &Around,
) -> v1::WaitingFor {
    if around.interrupted {
        return v1::WaitingFor {
            what: Some(What::Continue(v1::WaitingForContinue {})),
            message: "somebody to go on with the run, which was interrupted".to_owned(),
        };
    }
    let step = &plan.steps[step as usize];
    let (what, message) = match waiting {
        Waiting::Needs(open) => {
            let ids: Vec<_> = open
                .iter()
                .map(|at| plan.steps[*at as usize].id.to_string())
                .collect();
            let mut message = ids
                .iter()
                .take(SAID)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            if ids.len() > SAID {
                message.push_str(&format!(" and {} more", ids.len() - SAID));
            }
            let ids = ids.into_iter().take(NAMED).collect();
            (What::Steps(v1::WaitingForSteps { ids }), message)
        }
        Waiting::Turn => {
            let limit = step
                .fan
                .as_ref()
                .and_then(|fan| fan.max_parallel)
                .unwrap_or(0);
            let message = match limit {
                0 => "its turn".to_owned(),
                limit => format!("a free place: at most {limit} at once"),
            };
            (What::Parallel(v1::WaitingForParallel { limit }), message)
        }
        Waiting::Driver(name, version) => match around.capacity(name, version.as_deref()) {
            Some(capacity) => {
                let message = busy(&capacity);
                (What::Capacity(capacity), message)
            }
            None => {
                let named = match version {
                    Some(version) => format!("{name}@{version}"),
                    None => name.to_string(),
                };
                let driver = v1::WaitingForDriver {
                    name: name.to_string(),
                    version: version.as_deref().unwrap_or_default().to_owned(),
                };
                let why = match around.offering(name, version.as_deref()).is_empty() {
                    true => "which nobody offers",
                    false => "which takes nothing new: it drains",
                };
                let message = format!("the driver `{named}`, {why}");
                (What::Driver(driver), message)
            }
        },
        Waiting::Until(at) if attempts > 0 => {
            let retry = v1::WaitingForRetry {
                attempt: attempts + 1,
                at_ms: at.0,
            };
            (
                What::Retry(retry),
                format!("attempt {}, due at {at}", attempts + 1),
            )
        }
        Waiting::Until(at) => (
            What::Timer(v1::WaitingForTimer { at_ms: at.0 }),
            format!("{at}"),
        ),
        Waiting::Resume => {
            let resume = v1::WaitingForResume {
                actor: String::new(),
            };
            (What::Resume(resume), "the end of the pause".to_owned())
        }
        Waiting::Finally => (
            What::Finally(v1::WaitingForFinally {}),
            "the run's other steps to end".to_owned(),
        ),
    };
    v1::WaitingFor {
        what: Some(what),
        message,
    }
}

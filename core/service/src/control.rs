//! The control service's handlers.

mod backup;
mod calls;
mod check;
mod feed;
mod folds;
mod fork;
pub(crate) mod logs;
mod objects;
mod plan;
pub(crate) mod read;
mod resolve;
mod start;
mod stop;
mod tips;
mod tokens;
pub(crate) mod watch;

pub(crate) use self::objects::{LABEL_KEY, LABEL_VALUE};

use self::folds::Folds;
use self::tips::Tips;
use crate::access::Access;
use crate::caller::{Call, Caller, Scope};
use crate::gate::Gate;
use crate::refusal;
use crate::values::StoredValues;
use crate::wire::{self, Around, Offered};
use conveyor_node::reader::RunRow;
use conveyor_node::{Node, NodeError, Reader, RunId};
use conveyor_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Extensions, Status};

/// The most labels of a run.
pub const LIMIT_LABELS: usize = 64;

/// The namespace of what names none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// What a process says about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// `run` or `serve`.
    pub role: String,
    /// Absolute path of the data directory; empty without one.
    pub data_directory: String,
    /// When it started: milliseconds since 1970.
    pub started_ms: u64,
    /// The drivers in this process by name, with the version of each.
    pub drivers: BTreeMap<String, String>,
    /// How many tasks they take at once.
    pub capacity: u32,
    /// What they give to every step out of this process's environment.
    pub step_environment: BTreeMap<String, String>,
    /// Whether more drivers may come: a server. Without, a pipeline that names a driver which is
    /// not in `drivers` is refused.
    pub drivers_may_come: bool,
}

/// The handlers of the control service over a node. Clones share everything. They need a tokio
/// runtime, and do their heavy work on threads of their own.
#[derive(Clone, Debug)]
pub struct ControlHandlers {
    node: Node,
    reader: Reader,
    gate: Arc<Gate>,
    about: Arc<About>,
    folds: Folds,
    tips: Tips,
    access: Access,
    /// Who asks: each call has handlers of its own.
    caller: Caller,
    changes: Arc<objects::Changing>,
    feed: Arc<feed::Feed>,
}

impl ControlHandlers {
    /// Over a node.
    #[must_use]
    pub fn new(node: Node, about: About) -> ControlHandlers {
        let reader = node.reader().clone();
        ControlHandlers {
            reader,
            gate: match about.drivers_may_come {
                true => Arc::new(Gate::open()),
                false => Arc::default(),
            },
            about: Arc::new(about),
            folds: Folds::default(),
            tips: Tips::default(),
            access: Access::new(node.clone()),
            caller: Caller::local(),
            changes: Arc::default(),
            feed: Arc::default(),
            node,
        }
    }

    /// Who may come in.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The handlers of one call, for whoever asks for it.
    ///
    /// # Errors
    /// PERMISSION_DENIED where the call is not for the caller's scope.
    fn on_behalf(&self, call: &str, extensions: &Extensions) -> Result<ControlHandlers, Status> {
        let caller = Caller::of(extensions);
        let scope = calls::scope(call);
        let asked = Call::of(call, extensions);
        caller.may(&asked, scope)?;
        if scope == Scope::Admin && calls::is_of_all(call) {
            caller.is_unbound(&asked)?;
        }
        Ok(ControlHandlers {
            caller,
            ..self.clone()
        })
    }

    /// Who did it, for the record: who asks says so where nothing proves it.
    fn actor(&self, said: &str) -> String {
        match self.caller.is_local() {
            true => said.to_owned(),
            false => self.caller.principal.to_string(),
        }
    }

    /// The namespace that a request names, or that of the caller, or the default one.
    fn named<'a>(&'a self, name: &'a str) -> &'a str {
        match (name, &self.caller.namespace) {
            ("", Some(own)) => own,
            ("", None) => DEFAULT_NAMESPACE,
            (name, _) => name,
        }
    }

    /// Which runs were given to this process, and when it may end.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// What keeps the process from taking new work; `None` when nothing does.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        self.node.failing()
    }

    /// What the node counts, and is.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What the process says about itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What is durable.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn values(&self, run: RunId) -> StoredValues {
        StoredValues {
            store: Arc::clone(self.reader.store()),
            run,
        }
    }

    async fn around(&self, row: &RunRow) -> Around {
        // A node that has ended gives nothing away; what it stored can be read all the same.
        let standings = self.node.standings().await.unwrap_or_default();
        // The drivers of this process are one session.
        let here = standings.values().find(|standing| !standing.remote);
        let here = here.copied().unwrap_or_default();
        let own = self.about.drivers.iter().map(|(name, version)| Offered {
            name: name.clone(),
            version: version.clone(),
            capacity: self.about.capacity,
            own: false,
            standing: here,
        });
        let mut drivers: Vec<_> = own.collect();
        for session in self.node.sessions() {
            let stored = &session.stored;
            let serves = stored.scope.is_empty() || stored.scope == row.row.namespace;
            let standing = standings.get(stored.id.as_str());
            let there = standing.filter(|there| there.connected && !there.draining);
            if let Some(standing) = there.filter(|_| serves) {
                drivers.push(Offered {
                    own: !stored.scope.is_empty(),
                    name: stored.driver.clone(),
                    version: stored.version.clone(),
                    capacity: stored.capacity,
                    standing: *standing,
                });
            }
        }
        Around {
            interrupted: row.interrupted,
            drivers,
            progress: self.node.progress(row.id).into_iter().collect(),
        }
    }

    /// A run as answers to writes tell it: without inputs, outputs and counts.
    async fn brief(&self, run: RunId) -> Result<v1::Run, Status> {
        let row = self
            .reader
            .summary(run)
            .await
            .map_err(|error| refusal::status(&error))?;
        Ok(wire::listed(&row))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "`map_err` hands the error over"
)]
fn refuse(error: NodeError) -> Status {
    refusal::status(&error)
}

/// Checks the length of a text that a client gave in a field of its request.
fn short(name: &str, text: &str, maximum: usize) -> Result<(), Status> {
    if text.len() > maximum {
        return Err(refusal::limit(
            format!("/{name}"),
            name,
            text.len(),
            maximum,
        ));
    }
    Ok(())
}

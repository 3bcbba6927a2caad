//! Runs that a change of a Resource starts, started. The row that names them lies in the change's own
//! commit and goes away when they are there; each has one id, so that starting it twice starts it once.

use super::happened::Happened;
use super::{digest, resource_key, version};
use crate::error::NodeError;
use crate::id::RunId;
use crate::node::StartRun;
use crate::objects::{self, Changes, ListObjects};
use crate::plans::{self, Plans};
use conveyor_engine::plan::ResourceEvent;
use conveyor_engine::planted;
use conveyor_proto::storage::v1::{StoredChange, StoredFiring};
use conveyor_store::Store;
use std::sync::Arc;

/// Changes that are read together.
const PAGE: usize = 100;

/// The changes that have runs left to be started: an earlier process ended too early, or nobody knew
/// what their commit came to.
///
/// # Errors
/// When the store cannot be read.
pub fn left(store: &dyn Store) -> Result<Vec<(String, StoredChange)>, NodeError> {
    let mut list = ListObjects {
        limit: PAGE,
        ..ListObjects::default()
    };
    let mut left = Vec::new();
    loop {
        let page = objects::list::<StoredChange>(store, &list)?;
        left.extend(page.rows.into_iter().map(|(name, row)| (name, row.value)));
        match page.next {
            Some(next) => list.after = Some(next),
            None => return Ok(left),
        }
    }
}

/// The runs of a change, started one after the other: while there is a next one, [`Firings::start`] says
/// what it is and [`Firings::tried`] what became of it; then [`Firings::strike_off`] keeps what is left.
#[derive(Clone, Debug)]
pub struct Firings {
    name: String,
    change: StoredChange,
    happened: Happened,
    /// How many were tried.
    tried: usize,
    /// Those that could not be started for now.
    left: Vec<StoredFiring>,
}

/// Why a run was not started.
#[derive(Clone, Debug)]
pub enum Unstarted {
    /// It may be later.
    Now(NodeError),
    /// It never will be.
    Never(String),
}

impl From<NodeError> for Unstarted {
    fn from(error: NodeError) -> Unstarted {
        match error.is_temporary() {
            true => Unstarted::Now(error),
            false => Unstarted::Never(error.to_string()),
        }
    }
}

impl Firings {
    /// Reads the versions that a change is about. `name` is that of its row.
    ///
    /// # Errors
    /// When the store cannot be read, or the row is none that is written.
    pub fn read(
        store: &dyn Store,
        name: String,
        change: StoredChange,
    ) -> Result<Firings, NodeError> {
        let event = match change.event.as_str() {
            "created" => ResourceEvent::Created,
            "updated" => ResourceEvent::Updated,
            "deleted" => ResourceEvent::Deleted,
            other => {
                return Err(NodeError::Corrupt(format!("a stored event is {other:?}")));
            }
        };
        let object = resource_key(&change.definition, &change.name);
        let version = |number| version(store, &change.namespace, &object, number);
        let (new, old) = match event {
            ResourceEvent::Created => (version(change.version)?, None),
            ResourceEvent::Updated => (version(change.version)?, version(change.version - 1)?),
            ResourceEvent::Deleted => (None, version(change.version)?),
        };
        let happened = Happened {
            namespace: change.namespace.clone(),
            definition: change.definition.clone(),
            name: change.name.clone(),
            version: change.version,
            event,
            time_ms: change.time_ms,
            new,
            old,
        };
        Ok(Firings {
            name,
            change,
            happened,
            tried: 0,
            left: Vec::new(),
        })
    }

    /// The id of the run that is to be started next; `None` when all were tried.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        let firing = self.change.firings.get(self.tried);
        firing.map(|firing| firing.run.as_str())
    }

    /// The run that is to be started next. Compiles its document: call it on a stack of
    /// [`conveyor_engine::STACK_BYTES`].
    ///
    /// # Errors
    /// Why it cannot be started: hand that to [`Firings::tried`].
    pub fn start(&self, store: &dyn Store, plans: &Plans) -> Result<StartRun, Unstarted> {
        let never = |why: &str| Unstarted::Never(why.to_owned());
        let firing = self.change.firings.get(self.tried);
        let firing = firing.ok_or_else(|| never("there is none"))?;
        let run = RunId::parse(&firing.run).ok_or_else(|| never("its id is no UUIDv7"))?;
        let digest = digest(&firing.digest)?;
        let document = plans::document(store, &digest)?;
        let document = document.ok_or_else(|| never("its document is not there"))?;
        let plan = plans.get(store, &digest)?;
        let triggers = &mut plan.triggers.iter();
        let trigger = triggers.find(|trigger| *trigger.id == *firing.trigger);
        let inputs = self.happened.inputs(&plan, trigger);
        let inputs = inputs.map_err(Unstarted::Never)?;
        let inputs = inputs.ok_or_else(|| never("its `when` says no"))?;
        let actor = format!(
            "resource {}/{}",
            self.happened.definition, self.happened.name
        );
        let canonical: Arc<[u8]> = document.canonical.to_vec().into();
        Ok(StartRun {
            run,
            fresh: planted!(FiringCountsAsNew),
            source: String::from_utf8_lossy(&document.source).as_ref().into(),
            file_name: document.file_name,
            labels: plan.labels.clone(),
            resource: Some(self.happened.resource()),
            event: Some(self.happened.event(&firing.trigger)),
            ..StartRun::new(plan, canonical, inputs, &actor)
        })
    }

    /// What became of the next run. Whatever can never be started must not keep the others; what cannot
    /// be for now is tried again, and the others are not: one of them may have ended and been deleted by
    /// then.
    pub fn tried(&mut self, outcome: &Result<(), Unstarted>) {
        let firing = self.change.firings.get(self.tried).cloned();
        if let Err(Unstarted::Now(_)) = outcome
            && !planted!(UnstartedStruckOff)
        {
            self.left.extend(firing);
        }
        self.tried += 1;
    }

    /// Whether some are left that could not be started for now.
    #[must_use]
    pub fn leaves(&self) -> bool {
        !self.left.is_empty()
    }

    /// What keeps of the change's row what is left to be started; `None` where nothing is to be changed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn strike_off(&self, store: &dyn Store) -> Result<Option<Changes>, NodeError> {
        if self.left.len() == self.change.firings.len() && self.leaves() {
            return Ok(None);
        }
        let Some(row) = objects::get::<StoredChange>(store, "", &self.name)? else {
            return Ok(None);
        };
        let mut changes = Changes::new();
        if self.left.is_empty() {
            changes.delete("", &self.name, &row);
        } else {
            let rest = StoredChange {
                firings: self.left.clone(),
                ..row.value.clone()
            };
            changes.put("", &self.name, &rest, Some(&row));
        }
        Ok(Some(changes))
    }
}

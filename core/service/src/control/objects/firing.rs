//! Runs that a change of a Resource starts, started. The row that names them lies in the change's own
//! commit and goes away when they are there; each has one id, so that starting it twice starts it once.

use super::super::{ControlHandlers, refuse};
use super::resources::resource_key;
use super::triggers::Happened;
use crate::gate::Entry;
use crate::stack::on_stack;
use conveyor_engine::plan::{Plan, ResourceEvent};
use conveyor_engine::value::{Hash, Json};
use conveyor_node::objects::{Changes, ListObjects};
use conveyor_node::{RunId, StartRun};
use conveyor_proto::storage::v1::{StoredChange, StoredFiring};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Changes that are read together.
const PAGE: usize = 100;
/// How long a change whose runs could not be started waits for the next try.
const AGAIN: Duration = Duration::from_secs(1);
/// How often keys that hold no more are removed: every hour.
const FORGET: Duration = Duration::from_secs(60 * 60);

impl ControlHandlers {
    /// Starts what earlier changes of Resources left to be started, and goes on to look after those
    /// whose runs cannot be started at once. Never ends: a server has it as a task.
    pub async fn look_after_changes(&self) {
        let mut forget = tokio::time::interval(FORGET);
        loop {
            let again = match self.start_left_changes().await {
                Ok(()) => None,
                Err(status) => {
                    tracing::warn!(error = status.message(), "runs of a changed resource wait");
                    Some(AGAIN)
                }
            };
            tokio::select! {
                () = self.changes.left.notified() => {}
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
                _ = forget.tick() => {
                    if let Err(status) = self.forget_keys().await {
                        tracing::warn!(error = status.message(), "old idempotency keys stay");
                    }
                }
            }
        }
    }

    /// Starts the runs of every change that has some left: an earlier process ended too early.
    ///
    /// # Errors
    /// When the store cannot be read or written. What could be started was.
    pub async fn start_left_changes(&self) -> Result<(), Status> {
        let mut list = ListObjects {
            limit: PAGE,
            ..ListObjects::default()
        };
        let mut outcome = Ok(());
        loop {
            let page = self.reader.objects::<StoredChange>(list.clone()).await;
            let page = page.map_err(refuse)?;
            for (name, row) in page.rows {
                // One that cannot be started now does not keep the others.
                outcome = outcome.and(self.start_all(&name, row.value, None).await);
            }
            match page.next {
                Some(next) => list.after = Some(next),
                None => return outcome,
            }
        }
    }

    /// Starts the runs of a change that was made just now. What cannot be started now is started
    /// later: the change and its runs are durable.
    pub(super) async fn fire(&self, change: Option<(String, StoredChange)>, entry: &Entry) {
        let Some((name, change)) = change else { return };
        if let Err(status) = self.start_all(&name, change, Some(entry)).await {
            tracing::warn!(error = status.message(), "runs of a changed resource wait");
            self.changes.left.notify_one();
        }
    }

    async fn start_all(
        &self,
        name: &str,
        change: StoredChange,
        entry: Option<&Entry>,
    ) -> Result<(), Status> {
        let happened = Arc::new(self.happened(&change).await?);
        let (mut left, mut outcome) = (Vec::new(), Ok(()));
        for firing in &change.firings {
            match self.start_one(&happened, firing).await {
                Ok(run) => {
                    if let Some(entry) = entry {
                        entry.given(run);
                    }
                }
                // Whatever is tried again comes to the same: it must not keep the others.
                Err(Unstarted::Never(why)) => {
                    tracing::error!(run = firing.run, %why, "a run of a changed resource is not started");
                }
                // Nor must this one; it is tried again, and they are not: one of them may have ended and
                // been deleted by then.
                Err(Unstarted::Now(status)) => {
                    left.push(firing.clone());
                    outcome = Err(status);
                }
            }
        }
        if left.is_empty() || left.len() < change.firings.len() {
            self.strike_off(name, left).await?;
        }
        outcome
    }

    /// Keeps of a change what is left to be started.
    async fn strike_off(&self, name: &str, left: Vec<StoredFiring>) -> Result<(), Status> {
        let row = self.reader.object::<StoredChange>("", name).await;
        let Some(row) = row.map_err(refuse)? else {
            return Ok(());
        };
        let mut changes = Changes::new();
        if left.is_empty() {
            changes.delete("", name, &row);
        } else {
            let rest = StoredChange {
                firings: left,
                ..row.value.clone()
            };
            changes.put("", name, &rest, Some(&row));
        }
        match self.node.change(changes).await {
            // Somebody else has done the same meanwhile.
            Ok(()) | Err(conveyor_node::NodeError::Conflict(_)) => Ok(()),
            Err(error) => Err(refuse(error)),
        }
    }

    /// What happened, with the versions that it is about.
    async fn happened(&self, change: &StoredChange) -> Result<Happened, Status> {
        let event = match change.event.as_str() {
            "created" => ResourceEvent::Created,
            "updated" => ResourceEvent::Updated,
            "deleted" => ResourceEvent::Deleted,
            other => return Err(Status::data_loss(format!("a stored event is {other:?}"))),
        };
        let object = resource_key(&change.definition, &change.name);
        let version = |number| self.resource_version(&change.namespace, &object, number);
        let (new, old) = match event {
            ResourceEvent::Created => (version(change.version).await?, None),
            ResourceEvent::Updated => (
                version(change.version).await?,
                version(change.version - 1).await?,
            ),
            ResourceEvent::Deleted => (None, version(change.version).await?),
        };
        Ok(Happened {
            namespace: change.namespace.clone(),
            definition: change.definition.clone(),
            name: change.name.clone(),
            version: change.version,
            event,
            time_ms: change.time_ms,
            new,
            old,
        })
    }

    async fn start_one(
        &self,
        happened: &Arc<Happened>,
        firing: &StoredFiring,
    ) -> Result<RunId, Unstarted> {
        let never = |why: &str| Unstarted::Never(why.to_owned());
        let run = RunId::parse(&firing.run).ok_or_else(|| never("its id is no UUIDv7"))?;
        let digest = firing.digest.as_ref().try_into().map(Hash);
        let digest = digest.map_err(|_| never("a digest has 32 bytes"))?;
        let document = self.reader.document(digest).await;
        let document = document.map_err(Unstarted::of)?;
        let (reader, of) = (self.reader.clone(), Arc::clone(happened));
        let id = firing.trigger.clone();
        let made = on_stack(move || -> Result<(Arc<Plan>, Json), Unstarted> {
            let plan = reader.plans().get(reader.store().as_ref(), &digest);
            let plan = plan.map_err(Unstarted::of)?;
            let trigger = plan.triggers.iter().find(|trigger| *trigger.id == *id);
            let inputs = of.inputs(&plan, trigger).map_err(Unstarted::Never)?;
            let inputs = inputs.ok_or_else(|| Unstarted::Never("its `when` says no".to_owned()))?;
            Ok((plan, inputs))
        });
        let (plan, inputs) = made.await.map_err(Unstarted::Now)??;
        let actor = format!("resource {}/{}", happened.definition, happened.name);
        let canonical: Arc<[u8]> = document.canonical.to_vec().into();
        let start = StartRun {
            run,
            fresh: false,
            source: String::from_utf8_lossy(&document.source).as_ref().into(),
            file_name: document.file_name,
            labels: plan.labels.clone(),
            resource: Some(happened.resource()),
            event: Some(happened.event(&firing.trigger)),
            ..StartRun::new(plan, canonical, inputs, &actor)
        };
        let started = self.node.start_run(start).await.map_err(Unstarted::of)?;
        Ok(started.run)
    }
}

/// Why a run was not started.
enum Unstarted {
    /// It may be later.
    Now(Status),
    /// It never will be.
    Never(String),
}

impl Unstarted {
    fn of(error: conveyor_node::NodeError) -> Unstarted {
        match error.is_temporary() {
            true => Unstarted::Now(refuse(error)),
            false => Unstarted::Never(error.to_string()),
        }
    }
}

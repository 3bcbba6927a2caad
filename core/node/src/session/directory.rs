//! The drivers and sessions that a node knows, as rows and in memory.

use super::progress::Progress;
use super::rows;
use crate::driver::Tellers;
use crate::error::NodeError;
use crate::id::RunId;
use crate::node::Node;
use crate::owner::SessionInfo;
use crate::token::Claimed;
use conveyor_engine::plan::{DriverContract, Drivers, version_order};
use conveyor_engine::run::Identity;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{AdoptedClaim, StoredDriver, StoredSession};
use conveyor_store::Store;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// Where a driver is published: a namespace, or all.
pub(crate) type Scope = Option<Arc<str>>;

/// A session, as its node knows it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) scope: Scope,
    pub(crate) contract: Arc<DriverContract>,
    pub(crate) capacity: u32,
    pub(crate) stored: StoredSession,
    heard: AtomicU64,
    draining: AtomicBool,
    pub(crate) connected: AtomicBool,
    /// How many connections it has had.
    links: AtomicU64,
    /// How far its tasks are, as its last heartbeat told.
    progress: Mutex<Vec<(Claimed, Progress)>>,
}

impl Known {
    pub(crate) fn heard(&self, now: Time) {
        self.heard.store(now.0, Ordering::Relaxed);
    }

    /// The number of its next connection.
    pub(crate) fn next_link(&self) -> u64 {
        self.links.fetch_add(1, Ordering::Relaxed)
    }

    /// The session as its owner knows it, when it opens the store anew.
    pub(crate) fn info(&self) -> SessionInfo {
        let adopted = self.stored.adopted.iter().filter_map(claimed);
        SessionInfo {
            id: Arc::clone(&self.id),
            drivers: [(
                Arc::clone(&self.contract.name),
                Arc::clone(&self.contract.version),
            )]
            .into(),
            schemas: [(Arc::clone(&self.contract.name), self.contract.digest)].into(),
            capacity: self.capacity,
            scope: self.scope.clone(),
            remote: true,
            restored: true,
            adopted: adopted.collect(),
        }
    }

    /// What its last heartbeat told; the one before counts no more.
    pub(crate) fn progresses(&self, told: Vec<(Claimed, Progress)>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// It has a connection again, and takes what it gives credits for.
    pub(crate) fn comes_back(&self) {
        self.connected.store(true, Ordering::Relaxed);
        self.draining.store(false, Ordering::Relaxed);
    }
}

/// A session, for people.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// What was stored of it.
    pub stored: StoredSession,
    /// When it was heard last: milliseconds since 1970.
    pub heard_ms: u64,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Whether its connection is there.
    pub connected: bool,
}

/// A driver in one version, for people.
#[derive(Clone, Debug)]
pub struct DriverRecord {
    /// What was stored of it.
    pub stored: StoredDriver,
}

#[derive(Debug)]
struct Version {
    stored: StoredDriver,
    contract: Arc<DriverContract>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By name, scope and version.
    drivers: BTreeMap<(Arc<str>, Scope, Arc<str>), Version>,
    sessions: BTreeMap<Arc<str>, Arc<Known>>,
}

/// The drivers and sessions that a node knows.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    inner: Mutex<Inner>,
    /// Held while a session's rows are kept, and for itself while a driver is forgotten: nobody registers
    /// between the look for its sessions and its end.
    registering: RwLock<()>,
    /// How far the tasks of this process are.
    own: Tellers,
}

/// What came of forgetting a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is gone, in these versions.
    Gone(Vec<String>),
    /// These sessions are there, or may come back: nothing has changed.
    InUse(Vec<String>),
    /// None of that name is registered there.
    Unknown,
}

impl Directory {
    /// For as long as a session's rows are being kept. Blocks while a driver is forgotten.
    pub(super) fn registers(&self) -> RwLockReadGuard<'_, ()> {
        let guard = self.registering.read();
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a driver that nobody is connected with. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read or written: it may be gone, or be there still.
    pub(super) fn forget(
        &self,
        store: &dyn Store,
        name: &str,
        scope: &str,
    ) -> Result<Forgotten, NodeError> {
        let guard = self.registering.write();
        let _alone = guard.unwrap_or_else(PoisonError::into_inner);
        let named = |driver: &str, of: &str| driver == name && of == scope;
        let versions = rows::drivers(store)?.into_iter();
        let versions = versions.filter(|driver| named(&driver.name, &driver.scope));
        let versions: Vec<_> = versions.map(|driver| driver.version).collect();
        let sessions = rows::sessions(store)?.into_iter();
        let sessions = sessions.filter(|session| named(&session.driver, &session.scope));
        let sessions: Vec<_> = sessions.map(|session| session.id).collect();
        if !sessions.is_empty() {
            return Ok(Forgotten::InUse(sessions));
        }
        rows::forget(store, name, scope, &versions)?;
        // Also where there are none: a commit whose outcome was not known may have been this one.
        let mut inner = self.inner();
        inner
            .drivers
            .retain(|(driver, of, _), _| !named(driver, of.as_deref().unwrap_or_default()));
        if versions.is_empty() {
            return Ok(Forgotten::Unknown);
        }
        Ok(Forgotten::Gone(versions))
    }

    /// What the store has. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read, or has something else there.
    pub(crate) fn load(store: &dyn Store, now: Time) -> Result<Directory, NodeError> {
        let mut inner = Inner::default();
        for stored in rows::drivers(store)? {
            let contract = Arc::new(contract(&stored)?);
            let key = key(&stored);
            inner.drivers.insert(key, Version { stored, contract });
        }
        for stored in rows::sessions(store)? {
            let scope: Scope = (!stored.scope.is_empty()).then(|| stored.scope.as_str().into());
            let key = (
                Arc::from(stored.driver.as_str()),
                scope.clone(),
                Arc::from(stored.version.as_str()),
            );
            let Some(version) = inner.drivers.get(&key) else {
                return Err(NodeError::Corrupt(format!(
                    "session {} is of the driver `{}` {}, which is not stored",
                    stored.id, stored.driver, stored.version
                )));
            };
            let known = known(stored, Arc::clone(&version.contract), scope, now);
            known.connected.store(false, Ordering::Relaxed);
            inner
                .sessions
                .insert(Arc::clone(&known.id), Arc::new(known));
        }
        Ok(Directory {
            inner: Mutex::new(inner),
            ..Directory::default()
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of a driver that is stored.
    pub(crate) fn version(&self, scope: &Scope, name: &str, version: &str) -> Option<StoredDriver> {
        let key = (Arc::from(name), scope.clone(), Arc::from(version));
        self.inner()
            .drivers
            .get(&key)
            .map(|known| known.stored.clone())
    }

    pub(crate) fn insert_driver(&self, stored: StoredDriver, contract: Arc<DriverContract>) {
        let key = key(&stored);
        self.inner()
            .drivers
            .insert(key, Version { stored, contract });
    }

    pub(crate) fn insert_session(
        &self,
        stored: StoredSession,
        contract: Arc<DriverContract>,
        scope: Scope,
        now: Time,
    ) -> Arc<Known> {
        let known = Arc::new(known(stored, contract, scope, now));
        self.inner()
            .sessions
            .insert(Arc::clone(&known.id), Arc::clone(&known));
        known
    }

    pub(crate) fn remove_session(&self, id: &str) {
        self.inner().sessions.remove(id);
    }

    pub(crate) fn session(&self, id: &str) -> Option<Arc<Known>> {
        self.inner().sessions.get(id).cloned()
    }

    pub(crate) fn all_sessions(&self) -> Vec<Arc<Known>> {
        self.inner().sessions.values().cloned().collect()
    }

    /// Where the tasks of this process tell how far they are.
    pub(crate) fn own(&self) -> &Tellers {
        &self.own
    }

    /// How far the tasks of a run are.
    pub(crate) fn progress(&self, run: RunId) -> Vec<(Identity, Progress)> {
        let mut all = self.own.of(run);
        for known in self.all_sessions() {
            let told = known
                .progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let of_run = told.iter().filter(|(claimed, _)| claimed.run == run);
            all.extend(of_run.map(|(claimed, progress)| (claimed.id, progress.clone())));
        }
        all
    }

    /// The session, where the secret is its own.
    pub(crate) fn authentic(
        &self,
        node: &Node,
        id: &str,
        secret: &[u8],
    ) -> Result<Arc<Known>, NodeError> {
        // Whoever does not know the secret does not learn whether there is such a session.
        let known = self
            .session(id)
            .filter(|known| node.tokens().is_secret_of(&known.id, secret));
        known.ok_or_else(|| {
            NodeError::NotFound(
                "there is no such session, or its secret is another: say hello again".to_owned(),
            )
        })
    }

    /// The contract by which an attempt is judged: of the version that its claim names.
    pub(crate) fn contract(
        &self,
        name: &str,
        namespace: &str,
        version: &str,
        digest: Option<Hash>,
    ) -> Option<Arc<DriverContract>> {
        let inner = self.inner();
        [Some(Arc::from(namespace)), None]
            .into_iter()
            .filter_map(|scope: Scope| {
                inner
                    .drivers
                    .get(&(Arc::from(name), scope, Arc::from(version)))
            })
            .map(|version| Arc::clone(&version.contract))
            .find(|contract| digest.is_none_or(|digest| contract.digest == digest))
    }

    /// What a document of a namespace is checked against: the newest version of each driver, those
    /// of the namespace before those of all, over the drivers in this process.
    pub(crate) fn contracts(&self, base: &Drivers, namespace: &str) -> Drivers {
        let mut drivers = base.clone();
        let inner = self.inner();
        let mut newest: BTreeMap<Arc<str>, (bool, &Version)> = BTreeMap::new();
        for ((name, scope, version), known) in &inner.drivers {
            let own = match scope {
                None => false,
                Some(scope) if **scope == *namespace => true,
                Some(_) => continue,
            };
            let better = newest.get(name).is_none_or(|(other_own, other)| {
                (own, version_order(version))
                    >= (*other_own, version_order(&other.contract.version))
            });
            if better {
                newest.insert(Arc::clone(name), (own, known));
            }
        }
        for (_, version) in newest.values() {
            drivers.share(Arc::clone(&version.contract));
        }
        drivers
    }

    pub(crate) fn drivers(&self) -> Vec<DriverRecord> {
        let inner = self.inner();
        let records = inner.drivers.values().map(|version| DriverRecord {
            stored: version.stored.clone(),
        });
        records.collect()
    }

    pub(crate) fn sessions(&self) -> Vec<SessionRecord> {
        let inner = self.inner();
        let record = |known: &Arc<Known>| SessionRecord {
            stored: known.stored.clone(),
            heard_ms: known.heard.load(Ordering::Relaxed),
            draining: known.draining.load(Ordering::Relaxed),
            connected: known.connected.load(Ordering::Relaxed),
        };
        inner.sessions.values().map(record).collect()
    }
}

fn claimed(adopted: &AdoptedClaim) -> Option<Claimed> {
    Some(Claimed {
        run: RunId(adopted.run.as_ref().try_into().ok()?),
        id: Identity {
            step: adopted.step,
            instance: adopted.instance,
            attempt: adopted.attempt,
        },
        nonce: adopted.nonce,
    })
}

fn key(stored: &StoredDriver) -> (Arc<str>, Scope, Arc<str>) {
    let scope = (!stored.scope.is_empty()).then(|| stored.scope.as_str().into());
    (
        stored.name.as_str().into(),
        scope,
        stored.version.as_str().into(),
    )
}

fn known(stored: StoredSession, contract: Arc<DriverContract>, scope: Scope, now: Time) -> Known {
    Known {
        id: stored.id.as_str().into(),
        principal: stored.principal.as_str().into(),
        scope,
        contract,
        capacity: stored.capacity,
        heard: AtomicU64::new(now.0),
        draining: AtomicBool::new(false),
        connected: AtomicBool::new(true),
        links: AtomicU64::new(0),
        progress: Mutex::default(),
        stored,
    }
}

/// What a stored driver says of itself, ready to check with.
///
/// # Errors
/// [`NodeError::Corrupt`] when one of its schemas cannot be used: it was checked before it was stored.
pub(crate) fn contract(stored: &StoredDriver) -> Result<DriverContract, NodeError> {
    let read = |text: &[u8]| match text {
        [] => Ok(None),
        text => conveyor_engine::value::parse_json(text).map(Some),
    };
    let mut actions = Vec::new();
    for action in &stored.actions {
        let schema = |text: &[u8]| {
            read(text).map_err(|error| {
                NodeError::Invalid(format!(
                    "a schema of `{}`, action `{}`: {error}",
                    stored.name, action.name
                ))
            })
        };
        actions.push((
            action.name.as_str(),
            schema(&action.inputs_schema)?,
            schema(&action.outputs_schema)?,
        ));
    }
    let each = actions
        .iter()
        .map(|(name, inputs, outputs)| (*name, inputs.as_ref(), outputs.as_ref()));
    DriverContract::new(&stored.name, &stored.version, each).map_err(NodeError::Invalid)
}

//! Opening a node: its shard, its threads.

use super::condition::Condition;
use super::log_writer::LogWriter;
use super::messages::Message;
use super::remotes::Remotes;
use super::runtime::{Runtime, commit};
use super::session::{Session, Tasks};
use super::{Adopt, Config};
use crate::error::NodeError;
use crate::metrics::Metrics;
use crate::owner::{self, Input, Owner, SessionInfo};
use crate::reader::Reader;
use crate::session::Directory;
use crate::storage;
use crate::token::Tokens;
use conveyor_engine::STACK_BYTES;
use conveyor_engine::plan::Drivers;
use conveyor_proto::storage::v1::StoreMeta;
use conveyor_store::Store;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// What opening gives.
pub(super) struct Opened {
    pub(super) messages: Sender<Message>,
    pub(super) tokens: Tokens,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) logs: LogWriter,
    pub(super) directory: Arc<Directory>,
    pub(super) running: watch::Receiver<usize>,
    pub(super) condition: Arc<Condition>,
    pub(super) metrics: Arc<Metrics>,
}

/// Acquires the shard and starts its threads. Blocks.
pub(super) fn open(
    config: &Config,
    reader: &Reader,
    drivers: &Arc<Drivers>,
) -> Result<Opened, NodeError> {
    let store = Arc::clone(&config.store);
    let key = token_key(store.as_ref(), config.clock.now().0)?;
    let point = storage::acquire(store.as_ref(), uuid::Uuid::new_v4().as_u64_pair().0)?;
    let owner_config = owner::Config {
        moves_all: config.adopt == Adopt::All,
        ..owner::Config::default()
    };
    let mut owner = Owner::new(
        owner_config,
        point,
        Box::new(|| uuid::Uuid::new_v4().as_u64_pair().0),
    );
    let session = Session::new(config, Arc::clone(drivers));
    if config.adopt == Adopt::All {
        storage::quarantines(store.as_ref())?
            .into_iter()
            .for_each(|(run, _)| owner.recover_quarantined(run));
        storage::live_entries(store.as_ref())?
            .iter()
            .for_each(|(run, entry)| owner.recover(*run, entry));
    }
    // Sessions of an earlier process of this store may come back: none is lost before its time.
    let directory = Arc::new(Directory::load(store.as_ref(), config.clock.now())?);
    for known in directory.all_sessions() {
        owner.handle(config.clock.now(), Input::Register(known.info()));
    }
    // Last: it is this that makes the owner load what it was told of, though nobody asks for anything.
    owner.handle(
        config.clock.now(),
        Input::Register(SessionInfo::in_process(
            &session.id,
            session.versions(),
            session.schemas(),
            config.capacity,
        )),
    );
    let (messages, inbox) = channel();
    let (commits, groups) = channel();
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    let no_thread = |error: std::io::Error| NodeError::Unavailable(format!("no thread: {error}"));
    let back = messages.clone();
    let metrics = Arc::clone(owner.metrics());
    let (counts, hub) = (Arc::clone(&metrics), reader.hub().clone());
    let committer = thread("conveyor-commit")
        .spawn(move || commit(store.as_ref(), &groups, &back, &counts, &hub))
        .map_err(no_thread)?;
    let (logs, log_thread) = LogWriter::start(
        reader.clone(),
        Arc::clone(&metrics),
        Arc::clone(&config.clock),
    )?;
    let tasks = Tasks::new(
        session,
        config.runtime.clone(),
        reader.clone(),
        messages.clone(),
        logs.clone(),
        directory.own().clone(),
    );
    let condition = Arc::new(Condition::default());
    let running = tasks.running();
    let remotes = Remotes::new(Arc::clone(&directory), reader.clone());
    let runtime = Runtime::new(
        owner,
        Arc::clone(&config.clock),
        (messages.clone(), inbox),
        commits,
        reader.clone(),
        tasks,
        remotes,
        Arc::clone(&condition),
    );
    let owner = thread("conveyor-owner")
        .stack_size(STACK_BYTES)
        .spawn(move || runtime.run())
        .map_err(no_thread)?;
    Ok(Opened {
        messages,
        tokens: Tokens::new(&key),
        threads: vec![owner, committer, log_thread],
        logs,
        directory,
        running,
        condition,
        metrics,
    })
}

/// The store's key of tokens. Made with the store.
fn token_key(store: &dyn Store, now: u64) -> Result<[u8; 32], NodeError> {
    let made = || StoreMeta {
        format: 1,
        shards: 1,
        created_ms: now,
        created_by: env!("CARGO_PKG_VERSION").to_owned(),
        token_key: random_bytes().to_vec().into(),
    };
    let meta = storage::meta(store, made)?;
    <[u8; 32]>::try_from(meta.token_key.as_ref())
        .map_err(|_| NodeError::Corrupt("the store's token key does not have 32 bytes".into()))
}

/// 32 random bytes: two version-4 UUIDs have 244 random bits, hashed so that none is fixed.
#[must_use]
pub fn random_bytes() -> [u8; 32] {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for _ in 0..3 {
        hash.update(uuid::Uuid::new_v4().as_bytes());
    }
    hash.finalize().into()
}

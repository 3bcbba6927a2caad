//! A case as it is performed: what it has saved, opened and started.

use super::driver::Player;
use super::http::{Asked, Http};
use super::stream::Stream;
use super::talk::Talk;
use super::values::Values;
use super::{Played, Stop, cases, steps};
use crate::v1::EngineCase;
use prost::Message as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// A call that is under way: what it will be answered, and when it was made.
pub(super) type Pending = JoinHandle<Result<super::http::Answer, String>>;

/// What is the case's own.
pub(super) struct Script<'a> {
    case: &'a EngineCase,
    pub(super) played: Played<'a>,
    pub(super) http: Http,
    pub(super) said: Talk,
    pub(super) values: Values,
    pub(super) streams: HashMap<String, Stream>,
    pub(super) players: HashMap<String, Player>,
    pub(super) pending: HashMap<String, (std::time::Instant, Pending)>,
}

/// Cases that were performed by this process: each has names of its own.
static CASES: AtomicU64 = AtomicU64::new(0);

impl<'a> Script<'a> {
    pub(super) fn new(case: &'a EngineCase, played: Played<'a>, said: &Talk) -> Script<'a> {
        Script {
            case,
            http: Http::new(played.engine().url(), said),
            said: said.clone(),
            played,
            values: Values::default(),
            streams: HashMap::new(),
            players: HashMap::new(),
            pending: HashMap::new(),
        }
    }

    /// Performs it.
    pub(super) async fn play(mut self) -> Result<(), Stop> {
        self.prepare().await.map_err(Stop::CouldNotRun)?;
        for (index, step) in self.case.steps.iter().enumerate() {
            let Some(what) = &step.step else {
                continue;
            };
            let done = steps::perform(&mut self, what).await;
            done.map_err(|stop| match stop {
                Stop::Failed(sentence, _) => {
                    let why = match step.why.as_str() {
                        "" => String::new(),
                        why => format!(" ({why})"),
                    };
                    let sentence = format!("`{}`{why}: {sentence}", cases::word(what));
                    Stop::Failed(sentence, Some(index + 1))
                }
                other => other,
            })?;
        }
        Ok(())
    }

    /// Names of its own, and a namespace.
    async fn prepare(&mut self) -> Result<(), String> {
        let number = CASES.fetch_add(1, Ordering::Relaxed);
        let random = uuid::Uuid::new_v4().simple().to_string();
        let unique = format!("{}{number}", &random[..8]);
        let namespace = format!("n-{unique}");
        let driver = format!("d-{unique}");
        let hello = json!({
            "driver": driver,
            "version": "1.0.0",
            "contract_versions": [1],
            "actions": [{"name": "run"}],
            "capacity": 16,
            "namespace": namespace,
        });
        for (name, value) in [
            ("unique", json!(unique)),
            ("namespace", json!(namespace)),
            ("driver", json!(driver)),
            ("other", json!(format!("o-{unique}"))),
            ("hello", hello),
            ("run_id", json!(uuid::Uuid::now_v7().to_string())),
            ("run_id_2", json!(uuid::Uuid::now_v7().to_string())),
        ] {
            self.values.set(name, value);
        }
        if let Some(token) = self.played.engine().token() {
            self.values.set("admin", token);
        }
        let made = json!({"namespace": {"metadata": {"name": namespace}}});
        let asked = Asked::post("/v1/namespaces", &made, self.token("")?.as_deref());
        let answer = self.http.call(&asked).await?;
        if answer.status != 200 {
            return Err(format!(
                "the engine makes no namespace for the case: it answers {}",
                answer.told()
            ));
        }
        let actor = match self.names(b"${actor}") {
            true => self.actor(&namespace).await?,
            false => Value::Null,
        };
        self.values.set("actor", actor);
        Ok(())
    }

    /// Whether one of its steps has the text in it.
    fn names(&self, text: &[u8]) -> bool {
        let case = self.case.encode_to_vec();
        case.windows(text.len()).any(|one| one == text)
    }

    /// Who does what a case does as `ann`: she, or whom the access token proves. A run tells.
    async fn actor(&self, namespace: &str) -> Result<Value, String> {
        let spec = r#"{"steps": [{"id": "a", "transform": {}}]}"#;
        let source = format!(
            r#"{{"apiVersion": "conveyor/v1", "kind": "Pipeline", "metadata": {{"name": "who", "namespace": "{namespace}"}}, "spec": {spec}}}"#
        );
        let body = json!({"document": {"source": source}, "actor": "ann"});
        let asked = Asked::post("/v1/runs", &body, self.token("")?.as_deref());
        let answer = self.http.call(&asked).await?;
        match (answer.status, answer.body.pointer("/run/actor")) {
            (200, Some(actor)) => Ok(actor.clone()),
            _ => Err(format!(
                "who asks cannot be found out: the engine answers a run with {}",
                answer.told()
            )),
        }
    }

    /// The access token that is saved under a name: empty for the one that may do everything.
    pub(super) fn token(&self, name: &str) -> Result<Option<String>, String> {
        let own = || self.played.engine().token().map(str::to_owned);
        match name {
            "" | "admin" => Ok(own()),
            "nobody" => Ok(None),
            name => match self.values.get(name)? {
                Value::String(token) => Ok(Some(token)),
                other => Err(format!("`{name}` is no access token: {other}")),
            },
        }
    }

    /// A stream of the case.
    pub(super) fn stream(&mut self, name: &str) -> Result<&mut Stream, String> {
        let name = if name.is_empty() { "s" } else { name };
        self.streams
            .get_mut(name)
            .ok_or_else(|| format!("no stream `{name}` is open"))
    }
}

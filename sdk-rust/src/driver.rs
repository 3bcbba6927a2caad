use crate::runtime::{self, Options, Stop};
use crate::{Error, Failure, Task};
use conveyor_mask::Mask;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Task) -> Work + Send + Sync>;

/// A named kind of worker: a version and actions.
#[derive(Clone)]
pub struct Driver {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) actions: Vec<(Action, Handler)>,
    pub(crate) options: Options,
}

/// What an action says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) inputs: Option<Value>,
    pub(crate) outputs: Option<Value>,
}

/// What an action returns: a JSON object, or what serialises to one, or nothing.
pub trait IntoOutputs {
    /// The outputs.
    ///
    /// # Errors
    /// When they are no JSON.
    fn into_outputs(self) -> Result<Value, Failure>;
}

impl<T: Serialize> IntoOutputs for T {
    fn into_outputs(self) -> Result<Value, Failure> {
        let outputs = serde_json::to_value(self)?;
        Ok(match outputs {
            // What a function returns that returns nothing.
            Value::Null => Value::Object(serde_json::Map::new()),
            outputs => outputs,
        })
    }
}

impl Action {
    /// An action that takes and gives any object.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Action {
        Action {
            name: name.into(),
            description: String::new(),
            inputs: None,
            outputs: None,
        }
    }

    /// What it does, for people.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Action {
        self.description = text.into();
        self
    }

    /// JSON Schema 2020-12 of `with`: documents are checked against it when they are applied, and
    /// tasks before they are sent.
    #[must_use]
    pub fn inputs(mut self, schema: Value) -> Action {
        self.inputs = Some(schema);
        self
    }

    /// JSON Schema 2020-12 of the outputs.
    #[must_use]
    pub fn outputs(mut self, schema: Value) -> Action {
        self.outputs = Some(schema);
        self
    }
}

impl From<&str> for Action {
    fn from(name: &str) -> Action {
        Action::new(name)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .actions
            .iter()
            .map(|(action, _)| &action.name)
            .collect();
        f.debug_struct("Driver")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("actions", &names)
            .finish()
    }
}

impl Driver {
    /// A driver without actions. Its version is `0.0.0-dev` unless it is given: schemas of a version
    /// that ends in `-dev` may change, those of any other are for ever.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Driver {
        Driver {
            name: name.into(),
            version: "0.0.0-dev".to_owned(),
            actions: Vec::new(),
            options: Options::default(),
        }
    }

    /// Its semantic version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Driver {
        self.version = version.into();
        self
    }

    /// Adds an action. The first one is the default.
    #[must_use]
    pub fn action<F, R, O>(mut self, action: impl Into<Action>, handler: F) -> Driver
    where
        F: Fn(Task) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
        O: IntoOutputs,
    {
        let handler = move |task: Task| -> Work {
            let work = handler(task);
            Box::pin(async move { work.await?.into_outputs() })
        };
        self.actions.push((action.into(), Arc::new(handler)));
        self
    }

    /// How many tasks it takes at once. Default 16.
    #[must_use]
    pub fn capacity(mut self, tasks: u32) -> Driver {
        self.options.capacity = tasks;
        self
    }

    /// How it connects; everything but what is given here stays as it was.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Driver {
        change(&mut self.options);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects to `CONVEYOR_URL`, else to [`crate::DEFAULT_URL`], and works until SIGTERM or SIGINT
    /// come; then it takes nothing new, finishes what it holds, and returns. What speaks with the server has a
    /// thread of its own: actions may compute without giving way.
    ///
    /// # Errors
    /// When the server refuses the driver.
    pub async fn run(self) -> Result<(), Error> {
        self.check()?;
        runtime::run_apart(Arc::new(self)).await
    }

    /// As [`Driver::run`], until it is told to stop, and within the caller's runtime: actions that compute belong
    /// into [`tokio::task::spawn_blocking`], for heartbeats wait for them otherwise.
    ///
    /// # Errors
    /// As [`Driver::run`].
    pub async fn run_until(self, stop: Stop) -> Result<(), Error> {
        self.check()?;
        runtime::run(Arc::new(self), stop).await
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut names = BTreeMap::new();
        for (action, _) in &self.actions {
            if names.insert(&action.name, ()).is_some() {
                return Err(Error::Driver(format!(
                    "the action `{}` is there twice",
                    action.name
                )));
            }
        }
        match names.is_empty() {
            true => Err(Error::Driver("it has no action".to_owned())),
            false => Ok(()),
        }
    }

    /// The action of a name; the first where none is said.
    pub(crate) fn find(&self, action: &str) -> Option<&(Action, Handler)> {
        match action {
            "" => self.actions.first(),
            name => self.actions.iter().find(|(action, _)| action.name == name),
        }
    }

    /// Starts a task. A panic is a failure too.
    pub(crate) async fn perform(&self, task: Task) -> Result<Value, Failure> {
        let action = task.action.as_str();
        let Some((_, handler)) = self.find(action) else {
            let message = format!("driver `{}` has no action `{action}`", self.name);
            return Err(Failure::errored("no_such_action", message).permanent());
        };
        let handler = Arc::clone(handler);
        let mask = task.log.mask().clone();
        #[cfg(feature = "tracing-layer")]
        let log = task.log.clone();
        let work = async move { handler(task).await };
        #[cfg(feature = "tracing-layer")]
        let work = crate::layer::with_log(log, work);
        let mut work = AbortOnDrop(tokio::spawn(work));
        let result = match (&mut work.0).await {
            Ok(result) => result,
            Err(error) => Err(panicked(error)),
        };
        without_secrets(&mask, result)
    }
}

/// How a task ended, without its secrets: the server looks again, but they need not travel.
fn without_secrets(mask: &Mask, result: Result<Value, Failure>) -> Result<Value, Failure> {
    match result {
        Ok(outputs) => match mask.find_in_json(&outputs) {
            None => Ok(outputs),
            Some(name) => {
                let message = format!(
                    "the outputs contain the secret `{name}`: hand it to other steps by their `secrets`"
                );
                Err(Failure::errored("secret_in_outputs", message).permanent())
            }
        },
        Err(failure) => Err(failure.masked(mask)),
    }
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let message = match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "without a message".to_owned());
            format!("the action panicked: {text}")
        }
        Err(_) => "the action was aborted".to_owned(),
    };
    Failure::new("exception", message).retryable()
}

struct AbortOnDrop(tokio::task::JoinHandle<Result<Value, Failure>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

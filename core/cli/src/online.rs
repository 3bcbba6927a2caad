//! Verbs that need an engine: this process's own, or the one that holds the data directory.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `run`, `fork` | runs begin, and go on |
//! | `apply` | pipelines are stored and started |
//! | `plan` | how a document would run there |
//! | `documents` | what `apply` reads |
//! | `resources` | definitions and resources of a server |
//! | `objects` | pipelines, drivers and namespaces of a server |
//! | `follow` | a run is shown until it ends |
//! | `runs` | `runs list`, `show`, `release`, `delete` |
//! | `backup` | all that is kept, into a file |
//! | `logs`, `events` | what runs said and did |
//! | `stop` | cancel, drain, terminate, pause, resume |
//! | `given` | documents and inputs from files |

mod apply;
mod backup;
mod documents;
mod events;
mod follow;
mod fork;
mod given;
mod logs;
mod objects;
mod plan;
mod resources;
mod run;
mod runs;
mod stop;
mod tokens;

pub(crate) use apply::{apply, start};
pub(crate) use backup::backup;
pub(crate) use events::events;
pub(crate) use fork::fork;
pub(crate) use logs::logs;
pub(crate) use objects::{drivers, namespaces, pipelines};
pub(crate) use plan::plan;
pub(crate) use resources::{definitions, resources};
pub(crate) use run::run;
pub(crate) use runs::{runs_delete, runs_list, runs_release, runs_show};
pub(crate) use stop::{cancel, drain, pause, resume, terminate};
pub(crate) use tokens::tokens;

use crate::args::{Form, Output, Place};
use crate::client::{Engine, Options, Problem, run_view, with_runtime};
use crate::exit::Exit;
use crate::render::data;
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_proto::v1;
use conveyor_store::Access;
use std::time::SystemTime;

/// What a verb that starts nothing needs of the engine.
fn reading(place: &Place) -> Options {
    // Others may give this process runs while it holds the directory.
    Options {
        server: place.server(),
        data_dir: place.data_dir.clone(),
        capacity: 16,
        secrets: Default::default(),
        access: Access::Existing,
    }
}

/// Opens the engine, does something with it, and leaves it.
fn with_engine<F>(options: Options, verb: F) -> Exit
where
    F: AsyncFnOnce(&mut Engine) -> Result<Exit, Problem>,
{
    with_runtime(Some(2), async {
        let mut engine = match Engine::open(options).await {
            Ok(engine) => engine,
            Err(problem) => return problem.tell(),
        };
        let exit = verb(&mut engine)
            .await
            .unwrap_or_else(|problem| problem.tell());
        engine.finish().await;
        exit
    })
}

/// Says what a request made of a run; `no_effect` says why it made nothing.
///
/// # Errors
/// When it has no such form.
fn tell(run: Option<v1::Run>, no_effect: &str, form: Form) -> Result<Exit, Problem> {
    let view = run_view(&run.unwrap_or_default(), &[]);
    let row = || data::told(&view, no_effect);
    let text = match (form.output, no_effect) {
        (Output::Json, _) => data::json(&row()),
        (Output::Yaml, _) => data::yaml(&row()),
        (Output::Table, "") => Ok(format!("run {} {}\n", view.id, view.word())),
        (Output::Table, why) => Ok(format!(
            "run {} {} (no effect: {why})\n",
            view.id,
            view.word()
        )),
    };
    terminal::print(&text.map_err(Problem::refused)?);
    Ok(Exit::Succeeded)
}

/// Who asks, for the records: the user's name.
fn actor() -> String {
    let name = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
        .chars()
        .take(64)
        .collect()
}

fn now() -> Time {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(now.map_or(0, |now| now.as_millis() as u64))
}

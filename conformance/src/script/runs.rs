//! Runs, their ends and logs.

use super::{Halt, Stage, failed, unable};
use crate::interfere::{inline, with_tokens};
use crate::like::same;
use crate::v1;
use crate::view::{self, overview, steps};
use conveyor_api::{from_json_of, to_json};
use conveyor_proto::v1 as contract;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use prost::Message as _;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

/// How long an end is waited for unless the case says it.
const PATIENCE: u64 = 10_000;
/// Between two tries of what nobody answered.
const AGAIN: Duration = Duration::from_millis(50);
/// The name of runs that are given none.
const RUN: &str = "run";

fn or<'a>(name: &'a str, default: &'a str) -> &'a str {
    match name.is_empty() {
        true => default,
        false => name,
    }
}

/// Whether nobody has answered: what an engine refuses has another code.
fn is_unheard(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
    )
}

impl Stage {
    pub(super) async fn run(&mut self, run: &v1::Run) -> Result<(), Halt> {
        let document = self.document(&run.tasks);
        let request = contract::StartRunRequest {
            // A repeat is of the same run.
            run_id: uuid::Uuid::now_v7().to_string(),
            pipeline: Some(contract::start_run_request::Pipeline::Document(
                contract::Document {
                    source: document.to_string().into_bytes().into(),
                    file_name: "case.json".to_owned(),
                },
            )),
            labels: run.labels.clone().into_iter().collect(),
            ..contract::StartRunRequest::default()
        };
        let started = self
            .asked(request, |mut control, request| async move {
                control.start_run(request).await
            })
            .await;
        match (started, run.refused.is_empty()) {
            (Ok(started), true) => {
                let id = started.run.unwrap_or_default().id;
                self.runs.insert(or(&run.name, RUN).to_owned(), id);
                Ok(())
            }
            (Err(status), true) => {
                failed(format!("the engine refuses the run: {}", status.message()))
            }
            (Ok(_), false) => failed(format!(
                "the engine started the run, and was to refuse it with what has `{}`: the schema that the driver published takes what is in `with`",
                run.refused
            )),
            (Err(status), false) => match status.message().contains(&run.refused) {
                true => Ok(()),
                false => failed(format!(
                    "the engine refuses the run, and does not say `{}`: {}",
                    run.refused,
                    status.message()
                )),
            },
        }
    }

    /// Asks until somebody answers: a server that is just restarted does not, and what was asked meanwhile ended with it.
    async fn asked<M: Clone, A, F>(
        &self,
        message: M,
        ask: impl Fn(ControlServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let until = Instant::now() + Duration::from_millis(PATIENCE);
        loop {
            match ask(self.control.clone(), self.request(message.clone())).await {
                Err(status) if is_unheard(&status) && Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                answered => return answered.map(Response::into_inner),
            }
        }
    }

    /// The pipeline that has these tasks as steps, all at once unless they say otherwise.
    fn document(&self, tasks: &[v1::Work]) -> Json {
        let mut steps = Vec::new();
        for work in tasks {
            for id in ids_of(work) {
                let program = (!work.program.is_empty()).then(|| self.placed(&work.program));
                let more = self.placed(&work.step);
                steps.push(step_of(&id, &self.driver, program, more));
            }
        }
        let secrets = self.secrets.iter().map(String::as_str);
        document_of(secrets, &steps)
    }

    /// The run of a name in the script.
    fn id(&self, name: &str) -> Result<String, Halt> {
        let name = or(name, RUN);
        let id = self.runs.get(name).cloned();
        id.ok_or_else(|| Halt::Unable(format!("the case started no run `{name}`")))
    }

    async fn view(&mut self, run: &str) -> Result<Json, Halt> {
        let request = self.request(contract::GetRunRequest {
            run: run.to_owned(),
            ..contract::GetRunRequest::default()
        });
        let view = self.control.get_run(request).await;
        let view = view.map_err(|status| unable("the run's view", &status.message()))?;
        Ok(to_json("GetRunResponse", view.get_ref()))
    }

    pub(super) async fn ended(&mut self, ended: &v1::Ended) -> Result<(), Halt> {
        let run = self.id(&ended.run)?;
        let within = Duration::from_millis(match ended.within_ms {
            0 => PATIENCE,
            within => within,
        });
        let until = Instant::now() + within;
        let name = or(&ended.run, RUN);
        let look = async || {
            // A server that was just restarted may not answer yet.
            let view = match self.view(&run).await {
                Err(halt) if Instant::now() >= until => return Err(halt),
                view => view.ok(),
            };
            let over = view
                .as_ref()
                .is_some_and(|view| view.pointer("/run/ended_ms").is_some());
            match self.gone() {
                Some(gone) if !over => failed(format!("the run `{name}` does not end: {gone}")),
                _ => Ok(view),
            }
        };
        let view = match view::ended(within, look).await? {
            Ok(view) => view,
            Err(view) => {
                return failed(format!(
                    "the run `{name}` did not end within {} ms: {}",
                    within.as_millis(),
                    overview(&view)
                ));
            }
        };
        let wanted = or(&ended.state, "succeeded");
        if view["run"]["state"] != wanted {
            return failed(format!(
                "the run `{name}` was to end `{wanted}`: {}",
                overview(&view)
            ));
        }
        let expected = with_tokens(&self.site.record, &inline(&ended.steps));
        same(&expected, &steps(&view))
            .or_else(|why| failed(format!("the steps of run `{name}` are otherwise: {why}")))
    }

    /// The number of a step's last attempt; 1 where it has none.
    async fn last_attempt(&mut self, run: &str, step: &str) -> Result<u32, Halt> {
        let view = self.view(run).await?;
        let attempts = steps(&view)[step]["attempts"].as_array().map(Vec::len);
        Ok(attempts
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1)
            .max(1))
    }

    pub(super) async fn logged(&mut self, logged: &v1::Logged) -> Result<(), Halt> {
        let run = self.id(&logged.run)?;
        let attempt = match logged.attempt {
            0 => self.last_attempt(&run, or(&logged.task, "a")).await?,
            attempt => attempt,
        };
        let request = self.request(contract::ReadLogsRequest {
            run,
            step: or(&logged.task, "a").to_owned(),
            instance: Some(0),
            attempt: Some(attempt),
            follow: true,
            ..contract::ReadLogsRequest::default()
        });
        let read = async {
            let stream = self.control.read_logs(request).await?;
            let mut stream = stream.into_inner();
            let mut lines = Vec::new();
            while let Some(response) = stream.message().await? {
                use contract::read_logs_response::Item;
                match response.item {
                    Some(Item::Records(records)) => lines.extend(records.records),
                    Some(Item::End(_)) => break,
                    Some(Item::LogEnd(_)) | None => {}
                }
            }
            Ok::<_, tonic::Status>(lines)
        };
        let lines = timeout(Duration::from_millis(PATIENCE), read).await;
        let Ok(lines) = lines else {
            return failed(format!(
                "the log is not complete {PATIENCE} ms after: lines lack up to the report's `last_log_offset`"
            ));
        };
        let lines = lines.map_err(|status| unable("the log", &status.message()))?;
        lines_are(logged, &lines)
    }

    pub(super) async fn stop(&mut self, stop: &v1::Stop) -> Result<(), Halt> {
        let run = self.id(&stop.run)?;
        let kind = match or(&stop.kind, "cancel") {
            "terminate" => contract::StopKind::Terminate,
            "drain" => contract::StopKind::Drain,
            _ => contract::StopKind::Cancel,
        };
        let request = contract::StopRunRequest {
            run,
            kind: kind.into(),
            reason: "the case says so".to_owned(),
            ..contract::StopRunRequest::default()
        };
        let stopped = self
            .asked(request, |mut control, request| async move {
                control.stop_run(request).await
            })
            .await;
        let stopped = stopped.map_err(|status| unable("the stop", &status.message()))?;
        drop(stopped);
        Ok(())
    }

    /// What a caller shows: the driver's own token, or one that is made for another.
    async fn token_of(&mut self, principal: &str) -> Result<String, Halt> {
        if principal.is_empty() {
            return Ok(self.token.clone());
        }
        if let Some(token) = self.others.get(principal) {
            return Ok(token.clone());
        }
        let token = self.token_for(principal).await?;
        self.others.insert(principal.to_owned(), token.clone());
        Ok(token)
    }

    /// A call in the driver's name, straight to the engine.
    pub(super) async fn call(&mut self, call: &v1::Call) -> Result<(), Halt> {
        let asked = with_tokens(&self.site.record, &inline(&call.request));
        let mut client = DriverServiceClient::new(
            self.site
                .channel()
                .map_err(|error| unable("the engine", &error))?,
        );
        let token = self.token_of(&call.principal).await?;
        let bearer = |mut request: tonic::Request<()>| {
            if let Ok(value) = format!("Bearer {token}").parse()
                && !token.is_empty()
            {
                request.metadata_mut().insert("authorization", value);
            }
            request.metadata().clone()
        };
        let metadata = bearer(tonic::Request::new(()));
        macro_rules! ask {
            ($method:ident, $request:ident, $response:literal) => {{
                let message: contract::$request = read(stringify!($request), &asked)?;
                let mut request = tonic::Request::new(message);
                *request.metadata_mut() = metadata;
                let answer = client.$method(request).await;
                answer.map(|answer| to_json($response, answer.get_ref()))
            }};
        }
        let answer = match call.call.as_str() {
            "complete_task" => ask!(complete_task, CompleteTaskRequest, "CompleteTaskResponse"),
            "extend_task" => ask!(extend_task, ExtendTaskRequest, "ExtendTaskResponse"),
            "append_logs" => ask!(append_logs, AppendLogsRequest, "AppendLogsResponse"),
            other => return Err(Halt::Unable(format!("there is no call `{other}`"))),
        };
        let answer = answer.map_err(|status| {
            Halt::Failed(format!("{} is refused: {}", call.call, status.message()))
        })?;
        same(&inline(&call.answer), &answer)
            .or_else(|why| failed(format!("{} is answered otherwise: {why}", call.call)))
    }

    pub(super) async fn published(&mut self, published: &v1::Published) -> Result<(), Halt> {
        let request = contract::GetDriverRequest {
            name: self.driver.clone(),
            namespace: String::new(),
        };
        let driver = self
            .asked(request, |mut control, request| async move {
                control.get_driver(request).await
            })
            .await;
        let driver = driver.map_err(|status| {
            Halt::Failed(format!("the driver is not published: {}", status.message()))
        })?;
        let driver = to_json("GetDriverResponse", &driver);
        if published.as_said {
            of_dialect(&driver)?;
        }
        same(&inline(&published.like), &driver["driver"])
            .or_else(|why| failed(format!("the driver published itself otherwise: {why}")))
    }
}

/// Whether all schemas in a view are of JSON Schema 2020-12, as they are where they do not name a dialect.
fn of_dialect(json: &Json) -> Result<(), Halt> {
    const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
    match json {
        Json::Array(items) => items.iter().try_for_each(of_dialect),
        Json::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let named = value["$schema"].as_str().unwrap_or(DIALECT);
            let of = named.trim_end_matches('#');
            match name.as_str() {
                "inputs_schema" | "outputs_schema" if of != DIALECT => failed(format!(
                    "a schema is published of `{named}`, and not of {DIALECT}"
                )),
                _ => of_dialect(value),
            }
        }),
        _ => Ok(()),
    }
}

/// A call's request.
fn read<M: prost::Message + Default>(name: &str, json: &Json) -> Result<M, Halt> {
    let of = crate::wire::descriptor(name).map_err(Halt::Unable)?;
    let message = from_json_of(&of, json).map_err(|flaw| {
        Halt::Unable(format!(
            "the case's request, {}: {}",
            flaw.pointer, flaw.message
        ))
    })?;
    M::decode(&message.encode_to_vec()[..]).map_err(|error| unable("the case's request", &error))
}

/// The ids of a task's steps.
pub(crate) fn ids_of(work: &v1::Work) -> Vec<String> {
    let id = or(&work.id, "a");
    match work.copies {
        0 | 1 => vec![id.to_owned()],
        copies => (0..copies).map(|copy| format!("{id}-{copy}")).collect(),
    }
}

/// A step of a run's pipeline: it begins at once unless `more` says otherwise.
pub(crate) fn step_of(id: &str, driver: &str, program: Option<Json>, more: Json) -> Json {
    let mut step = Map::new();
    step.insert("id".to_owned(), id.into());
    step.insert("needs".to_owned(), json!([]));
    step.insert("driver".to_owned(), driver.into());
    if let Some(program) = program {
        step.insert("with".to_owned(), json!({ "program": program }));
    }
    if let Json::Object(more) = more {
        step.extend(more);
    }
    Json::Object(step)
}

/// The pipeline of some steps, with the secrets that they may name.
pub(crate) fn document_of<'a>(secrets: impl Iterator<Item = &'a str>, steps: &[Json]) -> Json {
    let secrets: Json = secrets
        .map(|name| json!({ "name": name, "from": format!("file:{name}") }))
        .collect();
    view::document(None, &json!({ "secrets": secrets, "steps": steps }))
}

fn lines_are(logged: &v1::Logged, lines: &[contract::LogRecord]) -> Result<(), Halt> {
    let texts: Vec<String> = lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect();
    if !logged.lines.is_empty() {
        let expected = inline(&logged.lines);
        same(&expected, &json!(texts))
            .or_else(|why| failed(format!("the log is not as it is to be: {why}")))?;
    }
    if logged.numbered > 0 {
        let wanted = logged.numbered as usize;
        if texts.len() != wanted {
            return failed(format!("the log has {} lines of {wanted}", texts.len()));
        }
        let wrong = texts
            .iter()
            .enumerate()
            .find(|(at, text)| !text.ends_with(&format!(" {at}")));
        if let Some((at, text)) = wrong {
            return failed(format!(
                "line {at} of the log is {text:?}: not in its order"
            ));
        }
    }
    if !logged.without.is_empty()
        && let Some(text) = texts.iter().find(|text| text.contains(&logged.without))
    {
        return failed(format!("the log has what it is not to have: {text:?}"));
    }
    if !logged.streams.is_empty() {
        let streams: Vec<String> = lines
            .iter()
            .map(|line| {
                to_json("LogRecord", line)["stream"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        if streams != logged.streams {
            return failed(format!(
                "the lines are of the streams {streams:?}, and are to be of {:?}",
                logged.streams
            ));
        }
    }
    Ok(())
}

//! A run is shown until it ends.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `order` | events and log lines, which come by different ways, in one order |
//! | `screen` | where they are shown |

mod order;
mod screen;

use super::{actor, now};
use crate::args::{Output, Progress};
use crate::client::{Client, Engine, Events, Problem, Steady, json, run_view};
use crate::exit::Exit;
use crate::interrupts::{Interrupt, Interrupts};
use crate::render::style::Style;
use crate::render::view::{Counts, RunView, What};
use crate::render::{data, human, summary};
use crate::terminal;
use conveyor_engine::run::{Identity, RunState, StepState};
use conveyor_proto::v1;
use conveyor_proto::v1::{read_logs_response, watch_run_events_response};
use order::Order;
use screen::Screen;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tonic::Status;

/// How often a tree is drawn.
const DRAWN: Duration = Duration::from_millis(100);
/// Fan-outs up to this size have their instances named by their parameters.
const NAMED: usize = 500;

/// How a run is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) progress: Progress,
    pub(super) output: Output,
}

/// From where a run is shown.
#[derive(Debug)]
pub(super) enum Begin {
    /// From its first event: it has just begun.
    AtTheStart,
    /// From what is new since this: it began long ago.
    After(Box<v1::Run>, Vec<v1::Step>),
}

/// Shows a run until it ends, then its summary. Ctrl-C once cancels it, twice terminates it.
///
/// # Errors
/// When the engine goes away.
pub(super) async fn follow(
    engine: &mut Engine,
    run: &str,
    begin: Begin,
    shown: Shown,
) -> Result<Exit, Problem> {
    let progress = match shown.progress {
        Progress::Auto if terminal::draws() => Progress::Tree,
        Progress::Auto => Progress::Plain,
        progress => progress,
    };
    if progress != Progress::None {
        let place = engine.place();
        terminal::print_err(&format!("run {run} {}\n", human::printable(&place)));
    }
    if let Some(beside) = engine.beside() {
        terminal::note(&beside);
    }
    let mut client = engine.client();
    let (view, after, old) = match begin {
        Begin::AtTheStart => {
            let (told, steps) = whole(&mut client, run).await?;
            let mut view = run_view(&told, &steps);
            blank(&mut view);
            (view, String::new(), BTreeSet::new())
        }
        Begin::After(told, steps) => {
            let view = run_view(&told, &steps);
            let old = attempts(&view, told.interrupted);
            (view, told.sequence.to_string(), old)
        }
    };
    let watch = v1::WatchRunEventsRequest {
        run: run.to_owned(),
        after,
        follow: true,
    };
    let read = v1::ReadLogsRequest {
        run: run.to_owned(),
        follow: true,
        ..v1::ReadLogsRequest::default()
    };
    let link = engine.link();
    let events = Steady::open(&link, client.clone(), watch).await?;
    let logs = Steady::open(&link, client.clone(), read).await?;
    let mut following = Following {
        names: Events::of(&view),
        screen: Screen::new(progress),
        client,
        view,
        order: Order::new(old),
        pressed: 0,
    };
    let outcome = following.until_the_end(events, logs).await;
    following.screen.clear();
    let client = engine.client();
    match outcome {
        Ok(Some(exit)) => return Ok(exit),
        Ok(None) => {}
        Err(status) if engine.holds() => return Err(status.into()),
        Err(status) if link.comes_back() => {
            return Err(Problem::unreachable(format!(
                "{}; the run {run} goes on with the server: `conveyor runs show {run}` tells how",
                status.message()
            )));
        }
        Err(status) => {
            return Err(Problem::unreachable(format!(
                "the process that moves the run {run} has gone ({}); once it is listed as \
                 interrupted, `conveyor run --continue {run}` goes on with it",
                status.message()
            )));
        }
    }
    let told = link.insist(|| {
        let mut client = client.clone();
        async move { whole(&mut client, run).await }
    });
    let told = match told.await {
        // The holder may end as soon as the run has: who holds the directory next knows the rest.
        Err(status) if engine.has_gone(&status) => {
            engine.reopen().await?;
            whole(&mut engine.client(), run).await
        }
        told => told,
    };
    let (told, steps) = told?;
    let view = run_view(&told, &steps);
    print(&view, shown.output)?;
    Ok(exit(&view))
}

/// Whether a run that is read is followed, too. Says why not.
pub(super) fn goes_on(run: &v1::Run) -> bool {
    if run.interrupted {
        terminal::warning(&format!(
            "run {} is interrupted: nothing more comes",
            run.id
        ));
    }
    !run.interrupted
}

/// A run with all its steps, page by page.
pub(super) async fn whole(
    client: &mut Client,
    run: &str,
) -> Result<(v1::Run, Vec<v1::Step>), Status> {
    let mut steps: Vec<v1::Step> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::GetRunRequest {
            run: run.to_owned(),
            page_token,
            ..v1::GetRunRequest::default()
        };
        let answer = client.get_run(request).await?.into_inner();
        for step in answer.steps {
            match steps.last_mut() {
                // A fan-out that goes over a page's end.
                Some(last) if last.id == step.id => last.instances.extend(step.instances),
                _ => steps.push(step),
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok((answer.run.unwrap_or_default(), steps));
        }
    }
}

/// Prints a summary, or the whole view for programs.
///
/// # Errors
/// When the view has no such form.
pub(super) fn print(view: &RunView, output: Output) -> Result<(), Problem> {
    let text = match output {
        Output::Table => summary::summary(
            view,
            now(),
            Style {
                colour: terminal::colours_out(),
            },
        ),
        Output::Json => data::json(view).map_err(Problem::refused)?,
        Output::Yaml => data::yaml(view).map_err(Problem::refused)?,
    };
    terminal::print(&text);
    Ok(())
}

/// How the program ends after a run.
pub(super) fn exit(view: &RunView) -> Exit {
    match view.state {
        RunState::Succeeded => Exit::Succeeded,
        RunState::Cancelled => Exit::Cancelled,
        _ => Exit::Failed,
    }
}

/// Attempts that a person has been told about: those that have ended, or all where the process that
/// had them has gone.
fn attempts(view: &RunView, gone: bool) -> BTreeSet<Identity> {
    let mut all = BTreeSet::new();
    for (step, view) in (0..).zip(&view.steps) {
        for (instance, view) in (0..).zip(&view.instances) {
            let ended = view
                .attempts
                .iter()
                .filter(|one| gone || one.state.is_some());
            all.extend(ended.map(|attempt| Identity {
                step,
                instance,
                attempt: attempt.number,
            }));
        }
    }
    all
}

/// The view of a run of which nothing has happened yet.
fn blank(view: &mut RunView) {
    view.state = RunState::Queued;
    view.reason.clear();
    view.warnings = 0;
    (view.started_at, view.ended_at, view.outputs) = (None, None, None);
    for step in &mut view.steps {
        step.state = StepState::Pending;
        step.ok = false;
        step.reason.clear();
        step.warnings = 0;
        step.waiting_for = None;
        step.ended_at = None;
        step.instances.clear();
        step.counts = Counts::default();
    }
}

struct Following {
    client: Client,
    names: Events,
    screen: Screen,
    view: RunView,
    order: Order,
    /// How often Ctrl-C was pressed.
    pressed: u32,
}

impl Following {
    /// Until both streams have ended; an exit status when the person leaves before.
    async fn until_the_end(
        &mut self,
        mut events: Steady<v1::WatchRunEventsResponse>,
        mut logs: Steady<v1::ReadLogsResponse>,
    ) -> Result<Option<Exit>, Status> {
        let mut interrupts = Interrupts::new();
        let mut tick = tokio::time::interval(DRAWN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut eventful, mut logging) = (true, true);
        while eventful || logging {
            tokio::select! {
                biased;
                interrupt = interrupts.next() => {
                    if let Some(exit) = self.interrupt(interrupt).await? {
                        return Ok(Some(exit));
                    }
                }
                notice = self.screen.notice() => self.screen.say(&notice, &self.view),
                item = logs.message(), if logging => match item?.and_then(|item| item.item) {
                    Some(read_logs_response::Item::Records(records)) => {
                        let lines = records.records.iter();
                        let lines = lines.filter_map(|record| self.names.line(record));
                        lines.for_each(|line| self.order.line(line));
                        self.show();
                    }
                    Some(read_logs_response::Item::LogEnd(end)) => {
                        if let Some(id) = self.names.identity(end.id.as_ref()) {
                            self.order.complete(id);
                            self.show();
                        }
                    }
                    Some(read_logs_response::Item::End(_)) | None => {
                        logging = false;
                        self.order.all_complete();
                        self.show();
                    }
                },
                item = events.message(), if eventful => match item?.and_then(|item| item.item) {
                    Some(watch_run_events_response::Item::Event(event)) => self.take(&event).await,
                    Some(watch_run_events_response::Item::End(end)) => {
                        eventful = false;
                        // A run that nobody moves any more writes no logs either.
                        logging &= ended(end.state());
                    }
                    None => eventful = false,
                },
                _ = tick.tick(), if self.screen.draws() || self.order.waits() => {
                    self.show();
                    self.screen.draw(&self.view);
                }
            }
        }
        self.order.all_complete();
        self.show();
        Ok(None)
    }

    /// Shows what is due.
    fn show(&mut self) {
        while let Some(event) = self.order.next(Instant::now()) {
            self.view.apply(&event);
            self.screen.show(&self.view, &event);
        }
    }

    async fn take(&mut self, event: &v1::Event) {
        let Some(mut event) = self.names.event(event) else {
            return;
        };
        if let What::Expanded {
            step,
            instances: instances @ Err(_),
        } = &mut event.what
            && let Some(named) = self
                .parameters(*step, instances.as_ref().err().copied())
                .await
        {
            *instances = Ok(named);
        }
        self.order.event(event, Instant::now());
        self.show();
    }

    /// The parameters of a fan-out's instances, where all of them are known.
    async fn parameters(
        &mut self,
        step: usize,
        count: Option<usize>,
    ) -> Option<Vec<conveyor_engine::value::Json>> {
        let count = count.filter(|count| *count > 0 && *count <= NAMED)?;
        let request = v1::GetRunRequest {
            run: self.view.id.clone(),
            steps: vec![self.view.steps.get(step)?.id.clone()],
            ..v1::GetRunRequest::default()
        };
        // Names are a help for people; without them there are numbers.
        let answer = self.client.get_run(request).await.ok()?.into_inner();
        let instances = &answer.steps.first()?.instances;
        let named: Vec<_> = instances
            .iter()
            .filter_map(|instance| json(&instance.parameters))
            .collect();
        (named.len() == count).then_some(named)
    }

    async fn interrupt(&mut self, interrupt: Interrupt) -> Result<Option<Exit>, Status> {
        self.pressed += 1;
        let (kind, message) = match self.pressed {
            1 => (
                v1::StopKind::Cancel,
                "cancelling; `finally` runs. Ctrl-C again terminates the run",
            ),
            2 => (v1::StopKind::Terminate, "terminating"),
            _ => return Ok(Some(Exit::Cancelled)),
        };
        let because = match interrupt {
            Interrupt::CtrlC => String::new(),
            other => format!("{}: ", other.reason()),
        };
        let notice = format!("conveyor: {because}{message}\n");
        self.screen.say(&notice, &self.view);
        let request = v1::StopRunRequest {
            run: self.view.id.clone(),
            kind: kind.into(),
            actor: actor(),
            reason: interrupt.reason().to_owned(),
        };
        self.client.stop_run(request).await?;
        Ok(None)
    }
}

/// Whether nothing follows a state.
fn ended(state: v1::RunState) -> bool {
    matches!(
        state,
        v1::RunState::Succeeded | v1::RunState::Failed | v1::RunState::Cancelled
    )
}

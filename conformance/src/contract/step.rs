//! What is wrong with a step by itself.

use super::{of_list, pattern, tasks};
use crate::cases::{Flaws, Form, regex, time, word, words_of};
use crate::interfere::inline;
use crate::like;
use crate::v1;
use crate::v1::step::Step as What;
use serde_json::Value as Json;

/// States that a run may end in.
const ENDS: &[&str] = &["succeeded", "failed", "cancelled"];
/// How a run is stopped.
const STOPS: &[&str] = &["cancel", "terminate", "drain"];
/// Signals that a driver's process is sent.
const SIGNALS: &[&str] = &["TERM", "KILL", "STOP", "CONT", "INT"];

/// What is wrong with a step, by the JSON pointer within it.
pub(super) fn flaws(step: &v1::Step) -> Flaws {
    let (field, flaws) = match &step.step {
        None => {
            let why = "says nothing that is to be done or seen";
            return vec![(String::new(), why.to_owned())];
        }
        Some(What::See(see)) => ("see", of_see(see)),
        Some(What::Unseen(unseen)) => {
            let mut flaws = pattern::flaws(unseen.message.as_ref());
            flaws.extend(time("/for_ms", unseen.for_ms));
            ("unseen", flaws)
        }
        Some(What::Interfere(interfere)) => ("interfere", pattern::of_interference(interfere)),
        Some(What::Say(say)) => ("say", said(say)),
        Some(What::Run(run)) => ("run", tasks::flaws(run)),
        Some(What::Call(call)) => ("call", of_call(call)),
        Some(What::Signal(signal)) => ("signal", of_list("/name", &signal.name, SIGNALS)),
        Some(What::Stop(stop)) => ("stop", word("/kind", &stop.kind, STOPS)),
        Some(What::Ended(ended)) => ("ended", of_ended(ended)),
        Some(What::Logged(logged)) => ("logged", of_logged(logged)),
        Some(What::Exited(exited)) => {
            let mut flaws = regex("/says", &exited.says);
            flaws.extend(time("/within_ms", exited.within_ms));
            ("exited", flaws)
        }
        Some(What::Recorded(recorded)) => {
            let mut flaws = of_file(&recorded.file);
            flaws.extend(time("/within_ms", recorded.within_ms));
            ("recorded", flaws)
        }
        Some(What::Touch(touch)) => ("touch", of_file(&touch.file)),
        Some(What::Published(published)) => {
            let driver = pattern::of_messages(&["Driver"], Form::Like);
            let wanted = inline(&published.like);
            let flaws = checked("/like", &wanted, |wanted| driver.flaws(wanted));
            ("published", flaws)
        }
        Some(What::Alone(alone)) => ("alone", time("/within_ms", alone.within_ms)),
        Some(
            What::Start(_) | What::Lift(_) | What::Cut(_) | What::Silence(_) | What::Restart(_),
        ) => return Flaws::new(),
    };
    let flaws = flaws.into_iter();
    flaws
        .map(|(below, why)| (format!("/{field}{below}"), why))
        .collect()
}

/// What is wrong with what something is to be like: its tests, or else its shape.
fn checked(place: &str, wanted: &Json, shape: impl Fn(&Json) -> Flaws) -> Flaws {
    let flaws = match like::check(wanted) {
        Err(mismatch) => vec![(mismatch.pointer, mismatch.sentence)],
        Ok(()) => shape(wanted),
    };
    let flaws = flaws.into_iter();
    flaws
        .map(|(at, why)| (format!("{place}{at}"), why))
        .collect()
}

fn of_see(see: &v1::See) -> Flaws {
    let mut flaws = pattern::flaws(see.message.as_ref());
    flaws.extend(time("/within_ms", see.within_ms));
    let within = match see.within_ms {
        0 => 5_000,
        within => within,
    };
    if see.not_before_ms > within {
        let why = format!(
            "{} ms are later than `within_ms`, {within}: nothing that comes is in time",
            see.not_before_ms
        );
        flaws.push(("/not_before_ms".to_owned(), why));
    }
    flaws
}

fn said(say: &v1::Say) -> Flaws {
    let shape = pattern::of_messages(&["SessionResponse"], Form::Said)
        .without(&["sequence"])
        .with_numbers();
    let message = inline(&say.message);
    let mut flaws = shape.flaws(&message);
    if let Some(program) = message.pointer("/task/inputs/program") {
        let secrets = message.pointer("/task/secrets").cloned();
        let wrong = tasks::program_flaws(program, &secrets.unwrap_or_default()).into_iter();
        flaws.extend(wrong.map(|(at, why)| (format!("/task/inputs{at}"), why)));
    }
    let flaws = flaws.into_iter();
    flaws
        .map(|(at, why)| (format!("/message{at}"), why))
        .collect()
}

fn of_call(call: &v1::Call) -> Flaws {
    let (request, response) = match call.call.as_str() {
        "complete_task" => ("CompleteTaskRequest", "CompleteTaskResponse"),
        "extend_task" => ("ExtendTaskRequest", "ExtendTaskResponse"),
        "append_logs" => ("AppendLogsRequest", "AppendLogsResponse"),
        other => {
            return of_list(
                "/call",
                other,
                &["complete_task", "extend_task", "append_logs"],
            );
        }
    };
    let request = pattern::of_messages(&[request], Form::Said);
    let flaws = request.flaws(&inline(&call.request)).into_iter();
    let mut flaws: Flaws = flaws
        .map(|(at, why)| (format!("/request{at}"), why))
        .collect();
    let response = pattern::of_messages(&[response], Form::Like);
    let answer = inline(&call.answer);
    flaws.extend(checked("/answer", &answer, |answer| response.flaws(answer)));
    flaws
}

fn of_ended(ended: &v1::Ended) -> Flaws {
    let mut flaws = word("/state", &ended.state, ENDS);
    flaws.extend(time("/within_ms", ended.within_ms));
    let step = pattern::of_messages(&["Step", "StepInstance"], Form::Like);
    let steps = inline(&ended.steps);
    flaws.extend(checked("/steps", &steps, |steps| {
        let steps = steps.as_object().into_iter().flatten();
        let steps = steps.filter(|(id, _)| !id.starts_with('$'));
        let flaws = steps.flat_map(|(id, wanted)| {
            let flaws = step.flaws(wanted).into_iter();
            flaws.map(move |(below, why)| (format!("{}{below}", crate::cases::at("", id)), why))
        });
        flaws.collect()
    }));
    flaws
}

fn of_logged(logged: &v1::Logged) -> Flaws {
    let mut flaws = Flaws::new();
    let streams = words_of("LogStream");
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    for (at, stream) in logged.streams.iter().enumerate() {
        flaws.extend(of_list(&format!("/streams/{at}"), stream, &streams));
    }
    if !logged.lines.is_empty() {
        let lines = inline(&logged.lines);
        flaws.extend(checked("/lines", &lines, lines_flaws));
        if logged.numbered > 0 {
            let why = "stands beside `lines`: it is in their place";
            flaws.push(("/numbered".to_owned(), why.to_owned()));
        }
    }
    flaws
}

/// What is wrong with lines of a log: texts, or tests of texts.
pub(crate) fn lines_flaws(lines: &Json) -> Flaws {
    let items = match lines {
        Json::Array(items) => items,
        Json::Object(_) => return Flaws::new(),
        other => return vec![(String::new(), format!("{other} is no list of lines"))],
    };
    let wrong = items
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_string() && !line.is_object());
    wrong
        .map(|(at, line)| {
            (
                format!("/{at}"),
                format!("{line} is no text, and no test of one"),
            )
        })
        .collect()
}

/// What is wrong with the name of a file in the case's directory.
fn of_file(name: &str) -> Flaws {
    match name.is_empty() || name.contains('/') {
        true => {
            let why = format!("`{name}` is no name of a file in `${{dir}}`: one without `/`");
            vec![("/file".to_owned(), why)]
        }
        false => Flaws::new(),
    }
}

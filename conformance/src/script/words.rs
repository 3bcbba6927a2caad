//! A step as a sentence: what `describe` tells, and what failures name.

use crate::interfere::inline;
use crate::v1::interfere::How;
use crate::v1::step::Step as What;
use crate::v1::{Pattern, Step, Work};

/// The step as a sentence for people.
pub(crate) fn sentence(step: &Step) -> String {
    let told = step.step.as_ref().map_or_else(String::new, told);
    match step.why.is_empty() {
        true => format!("{told}."),
        false => format!("{told} ({}).", step.why),
    }
}

fn told(what: &What) -> String {
    match what {
        What::Start(start) => {
            let version = or(&start.version, "1.0.0");
            let with = match start.stranger {
                true => ", with an access token that does not hold",
                false => "",
            };
            match start.unconnected {
                true => format!("Start the driver, version {version}{with}"),
                false => {
                    format!(
                        "Start the driver, version {version}{with}, and wait until it is connected"
                    )
                }
            }
        }
        What::Run(run) => {
            let tasks: Vec<_> = run.tasks.iter().map(task).collect();
            let refused = match run.refused.is_empty() {
                true => String::new(),
                false => format!("; it is refused: {}", run.refused),
            };
            let labels = match run.labels.len() {
                0 => String::new(),
                _ => format!(", labelled {}", serde_json::json!(run.labels)),
            };
            format!("Start a run of {}{labels}{refused}", tasks.join(", and "))
        }
        What::See(see) => {
            let message = see.message.clone().unwrap_or_default();
            let times = match see.times {
                0 | 1 => String::new(),
                times => format!(" {times} times"),
            };
            let within = match see.within_ms {
                0 => 5_000,
                within => within,
            };
            let after = match see.not_before_ms {
                0 => String::new(),
                least => format!(", and no sooner than {least} ms behind the last"),
            };
            format!("See {}{times} within {within} ms{after}", pattern(&message))
        }
        What::Unseen(unseen) => {
            let message = unseen.message.clone().unwrap_or_default();
            match unseen.for_ms {
                0 => format!("See no {} until now", pattern(&message)),
                time => format!("See no {} for {time} ms", pattern(&message)),
            }
        }
        What::Say(say) => {
            let cut = match say.cut {
                true => ", and cut the connection",
                false => "",
            };
            let later = match say.later {
                true => " with what a later contract has",
                false => "",
            };
            format!(
                "Say in the engine's name {}{later}{cut}",
                inline(&say.message)
            )
        }
        What::Interfere(interfere) => {
            let message = pattern(&interfere.message.clone().unwrap_or_default());
            let how = interfere.how.as_ref().map_or_else(String::new, how);
            match interfere.times {
                0 => format!("From now on, {how} each {message}"),
                1 => format!("{} the next {message}", capital(&how)),
                times => format!("{} the next {times} times {message}", capital(&how)),
            }
        }
        What::Lift(lift) => format!("End the interference `{}`", lift.name),
        What::Cut(_) => "Cut the driver's connections".to_owned(),
        What::Silence(silence) => match silence.over {
            true => "Let the network through again".to_owned(),
            false => "Let the network be silent, its connections left open".to_owned(),
        },
        What::Ended(ended) => {
            let run = or(&ended.run, "run");
            let state = or(&ended.state, "succeeded");
            if ended.as_said {
                return format!("The run `{run}` ends as the config says of its samples");
            }
            match ended.steps.is_empty() {
                true => format!("The run `{run}` ends `{state}`"),
                false => format!(
                    "The run `{run}` ends `{state}`, and its steps are {}",
                    inline(&ended.steps)
                ),
            }
        }
        What::Logged(logged) => {
            let mut wanted = Vec::new();
            if logged.as_said {
                wanted.push("is sealed, and has the lines that the sample says".to_owned());
            }
            if !logged.lines.is_empty() {
                wanted.push(format!("is {}", inline(&logged.lines)));
            }
            if logged.numbered > 0 {
                wanted.push(format!("has {} lines in their order", logged.numbered));
            }
            if !logged.without.is_empty() {
                wanted.push(format!("has nowhere `{}`", logged.without));
            }
            if !logged.streams.is_empty() {
                wanted.push(format!("is of the streams {}", logged.streams.join(", ")));
            }
            let attempt = match logged.attempt {
                0 => "the last attempt".to_owned(),
                attempt => format!("attempt {attempt}"),
            };
            let task = or(&logged.task, "a");
            format!("The log of `{task}`, {attempt}, {}", wanted.join(" and "))
        }
        What::Signal(signal) => format!("Send the driver's process SIG{}", signal.name),
        What::Exited(exited) => {
            let how = match exited.badly {
                true => "with a status that is not 0",
                false => "with the status 0",
            };
            let says = match exited.says.is_empty() {
                true => String::new(),
                false => format!(
                    ", having said on standard error what is like `{}`",
                    exited.says
                ),
            };
            let alone = match exited.alone {
                true => ", and so do all that it started",
                false => "",
            };
            format!("The driver's process ends {how}{says}{alone}")
        }
        What::Recorded(recorded) => format!(
            "User code has recorded {:?} in `{}`, now and at the end",
            recorded.lines, recorded.file
        ),
        What::Touch(touch) => format!("Make the file `{}` that user code waits for", touch.file),
        What::Stop(stop) => {
            format!(
                "Stop the run `{}`: {}",
                or(&stop.run, "run"),
                or(&stop.kind, "cancel")
            )
        }
        What::Restart(restart) => match restart.gently {
            true => "Restart the engine, gently".to_owned(),
            false => "Kill the engine and start it again".to_owned(),
        },
        What::Call(call) => format!(
            "Call {}{} with {}; the answer is like {}",
            call.call,
            match call.principal.as_str() {
                "" => String::new(),
                other => format!(" as `{other}`"),
            },
            inline(&call.request),
            inline(&call.answer)
        ),
        What::Alone(_) => {
            "What the driver started since the last run began is gone, while it goes on".to_owned()
        }
        What::Published(published) if published.as_said => {
            "The engine shows the driver with all actions that the config says, and schemas of JSON Schema 2020-12"
                .to_owned()
        }
        What::Published(published) => {
            format!(
                "The engine shows the driver like {}",
                inline(&published.like)
            )
        }
    }
}

fn task(work: &Work) -> String {
    let id = or(&work.id, "a");
    let copies = match work.copies {
        0 | 1 => String::new(),
        copies => format!(" ({copies} of it)"),
    };
    let does = match (work.program.is_empty(), work.sample.is_empty()) {
        (false, _) => format!(" that does {}", inline(&work.program)),
        (true, false) => format!(" with the sample `{}`", work.sample),
        (true, true) => String::new(),
    };
    let more = match work.step.is_empty() {
        true => String::new(),
        false => format!(", with {}", inline(&work.step)),
    };
    format!("the task `{id}`{copies}{does}{more}")
}

/// What a pattern is of, as a part of a sentence: ``driver's `report` of task `a` ``.
pub(super) fn pattern(pattern: &Pattern) -> String {
    let from = or(&pattern.from, "driver");
    let kind = or(&pattern.kind, "message");
    let mut told = format!("{from}'s `{kind}`");
    if !pattern.task.is_empty() {
        told.push_str(&format!(" of task `{}`", pattern.task));
    }
    if pattern.attempt > 0 {
        told.push_str(&format!(", attempt {}", pattern.attempt));
    }
    if !pattern.like.is_empty() {
        told.push_str(&format!(" like {}", inline(&pattern.like)));
    }
    told
}

fn how(how: &How) -> String {
    match how {
        How::Hold(_) => "hold back".to_owned(),
        How::Drop(_) => "lose".to_owned(),
        How::Double(_) => "deliver twice".to_owned(),
        How::DelayMs(ms) => format!("delay by {ms} ms"),
        How::Change(change) => format!("change to have {}", inline(change)),
        How::Later(_) => "add what a later contract has to".to_owned(),
        How::Cut(_) => "cut the connection in the place of".to_owned(),
        How::CutBehind(_) => "cut the connection behind".to_owned(),
        How::Status(status) => format!("answer `{status}` to"),
        How::LoseAnswer(_) => "lose the answer to".to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    match text.is_empty() {
        true => default,
        false => text,
    }
}

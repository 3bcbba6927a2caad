//! A case as prose: what is arranged, and each step as a sentence that has all of it.

use super::cases::setting;
use crate::interfere::inline;
use crate::v1::engine_step::Step;
use crate::v1::{
    EngineCall, EngineCase, EngineCompare, EngineDriver, EngineEnded, EngineOpen, EngineRead,
    EngineSee, EngineStart, EngineStep, EngineTell, Play,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// What stands for something before the first step, by how it begins, and what that is.
const NAMES: [(&str, &str); 12] = [
    ("${namespace}", "a namespace that is made for the case"),
    ("${unique}", "a text that no other case has"),
    ("${driver}", "a driver's name that no other case has"),
    ("${other}", "another such name of a driver"),
    ("${hello}", "the hello of `${driver}`, in `${namespace}`"),
    ("${run_id}", "a new UUIDv7"),
    ("${run_id_2}", "another new UUIDv7"),
    ("${admin}", "the access token that may do everything"),
    ("${actor}", "`ann`, or whom the access token proves"),
    (
        "${now",
        "the time as milliseconds since 1970, with what is added to it",
    ),
    ("${long:", "so many times the letter `x`"),
    ("${base64:", "so many times the letter `x`, as base64"),
];

/// What is arranged before the first step, and what holds of all steps.
pub(crate) fn arranged(case: &EngineCase) -> Vec<String> {
    let setting = setting(case);
    let mut arranged = Vec::new();
    if setting.access {
        arranged.push("Who comes has to show an access token.".to_owned());
        arranged
            .push("Steps that say no other show `${admin}`, which may do everything.".to_owned());
    }
    if !setting.secrets.is_empty() {
        let names: Vec<&str> = setting.secrets.keys().map(String::as_str).collect();
        arranged.push(format!(
            "Documents may name the secrets `{}`.",
            names.join("`, `")
        ));
    }
    let does = |is: fn(&Step) -> bool| {
        case.steps
            .iter()
            .filter_map(|one| one.step.as_ref())
            .any(is)
    };
    if does(|step| matches!(step, Step::Start(start) if start.document.is_empty())) {
        arranged.push(
            "A document of a spec has a name, the namespace `${namespace}`, and `${driver}` as the driver of steps that say none.".to_owned(),
        );
    }
    if does(is_greeting) {
        arranged.push(
            "What a hello does not say is the driver `${driver}`, version 1.0.0, contract version 1, the action `run`, the capacity 16 and the namespace `${namespace}`.".to_owned(),
        );
    }
    let steps = case.steps.iter().map(sentence);
    let told: Vec<String> = arranged.iter().cloned().chain(steps).collect();
    for (name, is) in NAMES {
        if told.iter().any(|one| one.contains(name)) {
            let whole = match name.strip_suffix('}') {
                Some(_) => name.to_owned(),
                None => format!("{name}…}}"),
            };
            arranged.push(format!("`{whole}` is {is}."));
        }
    }
    arranged
}

/// Whether a hello is said, which gets what it leaves out.
fn is_greeting(step: &Step) -> bool {
    match step {
        Step::Driver(_) => true,
        Step::Open(open) => inline(&open.first).get("hello").is_some(),
        _ => false,
    }
}

/// The step as a sentence for people.
pub(crate) fn sentence(step: &EngineStep) -> String {
    let told = step.step.as_ref().map_or_else(String::new, told);
    match step.why.is_empty() {
        true => format!("{told}."),
        false => format!("{told} ({}).", step.why),
    }
}

fn told(step: &Step) -> String {
    match step {
        Step::Start(step) => start(step),
        Step::Call(step) => call(step),
        Step::Read(step) => read(step),
        Step::Driver(step) => driver(step),
        Step::Release(step) => format!(
            "Let attempt {} of `{}` go on, which the driver `{}` holds",
            step.attempt.max(1),
            step.task,
            or(&step.driver, "d")
        ),
        Step::Open(step) => open(step),
        Step::Tell(step) => tell(step),
        Step::See(step) => see(step),
        Step::Unseen(step) => format!(
            "See the engine say nothing like {} on the stream `{}` for {} ms",
            inline(&step.message),
            or(&step.session, "s"),
            time(step.for_ms, 300)
        ),
        Step::Break(step) => format!("Break the connection of `{}`", or(&step.session, "s")),
        Step::Closed(step) => {
            let status = match or(&step.status, "ok") {
                "not ok" => "any status that is not ok".to_owned(),
                status => format!("the status `{status}`"),
            };
            format!(
                "The engine ends the stream `{}` with {status} within {} ms",
                or(&step.session, "s"),
                time(step.within_ms, 5_000)
            )
        }
        Step::Ended(step) => ended(step),
        Step::Restart(step) => match step.gently {
            true => "Restart the engine, gently".to_owned(),
            false => "Kill the engine and start it again".to_owned(),
        },
        Step::Compare(step) => compare(step),
    }
}

fn start(step: &EngineStart) -> String {
    let name = or(&step.name, "run");
    let mut of = Vec::new();
    if !step.document.is_empty() {
        of.push(format!("the document {}", quoted(&step.document)));
    } else if !step.spec.is_empty() {
        of.push(format!("the spec {}", inline(&step.spec)));
    }
    if !step.inputs.is_empty() {
        of.push(format!("the inputs {}", inline(&step.inputs)));
    }
    if !step.request.is_empty() {
        of.push(format!("{} in its request", inline(&step.request)));
    }
    let with = with(&of);
    let answer = answer(step.status, &step.like, &[]);
    let kept = match step.status {
        0 | 200 => format!("; keep its id as `{name}`"),
        _ => String::new(),
    };
    format!("Start the run `{name}`{with}; {answer}{kept}")
}

fn call(step: &EngineCall) -> String {
    let mut parts = Vec::new();
    match step.answered.as_str() {
        "" => parts.push(asked(step)),
        name => parts.push(format!("Wait for the answer of the call `{name}`")),
    }
    if !step.unanswered.is_empty() {
        let name = &step.unanswered;
        parts.push(format!(
            "go on without its answer, which is that of the call `{name}`"
        ));
        return parts.join("; ");
    }
    parts.push(answer(step.status, &step.like, &step.headers_like));
    if step.within_ms > 0 {
        let within = step.within_ms;
        parts.push(format!("call again until it is so, for {within} ms"));
    }
    if step.not_before_ms > 0 {
        let least = step.not_before_ms;
        parts.push(format!(
            "it comes no sooner than {least} ms behind the call"
        ));
    }
    parts.extend(keep(&step.save));
    parts.join("; ")
}

/// What is called, and with what.
fn asked(step: &EngineCall) -> String {
    let body = match (step.body.is_empty(), step.text.is_empty()) {
        (false, _) => Some(format!("the body {}", inline(&step.body))),
        (true, false) => Some(format!("the body as text {}", quoted(&step.text))),
        (true, true) => None,
    };
    let method = or(&step.method, if body.is_some() { "POST" } else { "GET" });
    let mut all: Vec<String> = body.into_iter().collect();
    if !step.r#type.is_empty() {
        all.push(format!("the media type `{}`", step.r#type));
    }
    for (name, value) in &step.headers {
        all.push(format!("the header `{name}: {value}`"));
    }
    all.extend(shown(&step.token));
    format!("Call {method} {}{}", step.path, with(&all))
}

fn read(step: &EngineRead) -> String {
    let after = match step.last_event_id.as_str() {
        "" => Vec::new(),
        id => vec![format!("the header `Last-Event-ID: {id}`")],
    };
    let until = match step.count {
        0 => "to the end of the answer".to_owned(),
        1 => "and hang up behind 1 event".to_owned(),
        count => format!("and hang up behind {count} events"),
    };
    let mut parts = vec![format!(
        "Read the events of {}{}, {until}, within {} ms",
        step.path,
        with(&after),
        time(step.within_ms, 10_000)
    )];
    if !step.like.is_empty() {
        parts.push(format!("they are like {}", inline(&step.like)));
    }
    parts.extend(keep(&step.save));
    parts.join("; ")
}

fn driver(step: &EngineDriver) -> String {
    let over = match or(&step.transport, "stream") {
        "stream" => "over a stream".to_owned(),
        other => format!("over `{other}`, without a stream"),
    };
    let hello = match step.hello.is_empty() {
        true => String::new(),
        false => format!(", with the hello {}", inline(&step.hello)),
    };
    let mut parts = vec![format!(
        "Connect the driver `{}` {over}{hello}",
        or(&step.name, "d")
    )];
    for (task, plays) in &step.play {
        for (at, attempt) in plays.attempts.iter().enumerate() {
            parts.push(format!("attempt {} of `{task}`: {}", at + 1, play(attempt)));
        }
    }
    let rest = match step.play.is_empty() {
        true => "each attempt succeeds without outputs",
        false => "any other attempt succeeds without outputs",
    };
    parts.push(rest.to_owned());
    parts.join("; ")
}

/// What a driver does of an attempt.
fn play(play: &Play) -> String {
    if play.refuse {
        return "it refuses it".to_owned();
    }
    if play.forget {
        return "it takes it and says nothing more of it, not in heartbeats either".to_owned();
    }
    let mut does = Vec::new();
    if !play.logs.is_empty() {
        does.push(format!("says the log lines {}", json!(play.logs)));
    }
    if !play.checkpoint.is_empty() {
        does.push(format!("says the checkpoint {}", quoted(&play.checkpoint)));
    }
    if play.hold {
        let cancelled = match play.cancelled.as_str() {
            "" => "reports it `cancelled` at once",
            "ignore" => "ignores it and goes on to wait",
            "succeed" => "succeeds as if it were released",
            _ => "fails with the code `stopped`",
        };
        does.push(format!(
            "waits until it is released (cancelled before, it {cancelled})"
        ));
    }
    does.push(if !play.fail.is_empty() {
        format!("reports it `failed` with {}", inline(&play.fail))
    } else if !play.error.is_empty() {
        format!("reports it `errored` with {}", inline(&play.error))
    } else if play.echo {
        "succeeds with what its task came with".to_owned()
    } else if !play.succeed.is_empty() {
        format!("succeeds with {}", inline(&play.succeed))
    } else {
        "succeeds without outputs".to_owned()
    });
    format!("it {}", does.join(", then "))
}

fn open(step: &EngineOpen) -> String {
    let first = match step.first.is_empty() {
        true => "say nothing".to_owned(),
        false => format!("say {}", inline(&step.first)),
    };
    let mut parts = vec![format!(
        "Open the stream `{}`{}, and {first}",
        or(&step.session, "s"),
        with(shown(&step.token).as_slice())
    )];
    if !step.refused.is_empty() {
        parts.push(format!("it is refused: `{}`", step.refused));
    }
    if !step.see.is_empty() {
        parts.push(format!(
            "the engine's first message is like {}",
            inline(&step.see)
        ));
    }
    parts.extend(keep(&step.save));
    parts.join("; ")
}

fn tell(step: &EngineTell) -> String {
    let on = or(&step.session, "s");
    if !step.raw.is_empty() {
        let raw = STANDARD.encode(&step.raw);
        return format!("Say the bytes `{raw}` (base64) on the stream `{on}`");
    }
    let number = match step.sequence {
        0 => String::new(),
        sequence => format!(" under the number {sequence}"),
    };
    let later = match step.later.is_empty() {
        true => String::new(),
        false => format!(
            " with the bytes `{}` (base64) behind it",
            STANDARD.encode(&step.later)
        ),
    };
    let times = match step.times {
        0 | 1 => String::new(),
        times => format!(", {times} times"),
    };
    let message = inline(&step.message);
    format!("Say {message}{number}{later} on the stream `{on}`{times}")
}

fn see(step: &EngineSee) -> String {
    let after = match step.not_before_ms {
        0 => String::new(),
        least => format!(", and no sooner than {least} ms behind the last"),
    };
    let mut parts = vec![format!(
        "See the engine say what is like {} on the stream `{}` within {} ms{after}",
        inline(&step.message),
        or(&step.session, "s"),
        time(step.within_ms, 5_000)
    )];
    parts.extend(keep(&step.save));
    parts.join("; ")
}

fn ended(step: &EngineEnded) -> String {
    let mut parts = vec![format!(
        "The run `{}` ends `{}` within {} ms",
        or(&step.run, "run"),
        or(&step.state, "succeeded"),
        time(step.within_ms, 10_000)
    )];
    if !step.like.is_empty() {
        parts.push(format!("it is like {}", inline(&step.like)));
    }
    if !step.steps.is_empty() {
        parts.push(format!("its steps are like {}", inline(&step.steps)));
    }
    parts.join("; ")
}

fn compare(step: &EngineCompare) -> String {
    let mut is = Vec::new();
    if !step.like.is_empty() {
        is.push(format!("is like {}", inline(&step.like)));
    }
    if !step.unlike.is_empty() {
        is.push(format!("is not like {}", inline(&step.unlike)));
    }
    format!(
        "What was kept, {}, {}",
        inline(&step.that),
        is.join(" and ")
    )
}

/// What is looked for in an answer of REST.
fn answer(status: u32, like: &[u8], headers: &[u8]) -> String {
    let status = if status == 0 { 200 } else { status };
    let mut told = format!("the answer is {status}");
    if !like.is_empty() {
        told.push_str(&format!(" like {}", inline(like)));
    }
    if !headers.is_empty() {
        told.push_str(&format!(", and its headers are like {}", inline(headers)));
    }
    told
}

/// What is saved, by its JSON pointers or headers.
fn keep(save: &BTreeMap<String, String>) -> Option<String> {
    let each = save.iter().map(|(name, from)| {
        let what = match (from.strip_prefix("header:"), from.as_str()) {
            (Some(header), _) => format!("its header `{header}`"),
            (None, "") => "all of it".to_owned(),
            (None, pointer) => format!("its `{pointer}`"),
        };
        format!("{what} as `{name}`")
    });
    let each: Vec<_> = each.collect();
    (!each.is_empty()).then(|| format!("keep {}", each.join(", ")))
}

/// The access token that is shown, where that is no matter of course.
fn shown(token: &str) -> Option<String> {
    match token {
        "" => None,
        "nobody" => Some("no access token, as `nobody`".to_owned()),
        name => Some(format!("the access token `${{{name}}}`")),
    }
}

fn with(all: &[String]) -> String {
    match all.is_empty() {
        true => String::new(),
        false => format!(" with {}", all.join(", ")),
    }
}

/// A text with its lines' ends, as JSON.
fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn time(ms: u64, default: u64) -> u64 {
    if ms == 0 { default } else { ms }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

//! A case as prose: what is arranged, and each step as a sentence that has all of it.

use super::setting;
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
pub(super) fn arranged(case: &EngineCase) -> Vec<String> {
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
pub(super) fn sentence(step: &EngineStep) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{files, pool};
    use crate::engine::{embedded, read_cases};
    use conveyor_engine::document::{Limits, Located};
    use prost::Message as _;
    use prost_reflect::{DynamicMessage, Value as Field};
    use std::collections::BTreeSet;

    fn steps() -> Vec<(String, EngineStep)> {
        let cases = embedded().expect("they are read");
        let each = cases.into_iter().flat_map(|case| {
            let steps = case.steps.into_iter().enumerate();
            let name = case.name;
            steps.map(move |(at, step)| (format!("{name}, step {}", at + 1), step))
        });
        each.collect()
    }

    fn of(steps: &str) -> Vec<String> {
        let text =
            format!("cases: [{{name: a/b/c, purpose: It is., requires: [R1], steps: [{steps}]}}]");
        let cases = read_cases("a.yaml", &text).unwrap_or_else(|errors| panic!("{errors:#?}"));
        cases[0].steps.iter().map(sentence).collect()
    }

    /// The texts and numbers of JSON, names of fields aside.
    fn leaves(json: &Value, all: &mut Vec<String>) {
        match json {
            Value::Object(fields) => fields.values().for_each(|value| leaves(value, all)),
            Value::Array(items) => items.iter().for_each(|item| leaves(item, all)),
            Value::String(text) => {
                let quoted = quoted(text).to_string();
                all.push(quoted[1..quoted.len() - 1].to_owned());
            }
            Value::Number(number) => all.push(number.to_string()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Messages that lack one of the fields that are set, deep within them too, and the field's name.
    fn without_one(message: &DynamicMessage) -> Vec<(String, DynamicMessage)> {
        let mut lacking = Vec::new();
        for (field, value) in message.fields() {
            let name = field.name();
            let mut less = message.clone();
            less.clear_field(&field);
            lacking.push((name.to_owned(), less));
            let mut inner = |of: &DynamicMessage, wrap: &dyn Fn(DynamicMessage) -> Field| {
                for (deeper, less) in without_one(of) {
                    let mut whole = message.clone();
                    whole.set_field(&field, wrap(less));
                    lacking.push((format!("{name}/{deeper}"), whole));
                }
            };
            match value {
                Field::Message(of) => inner(of, &Field::Message),
                Field::Map(map) => {
                    for (key, value) in map {
                        if let Field::Message(of) = value {
                            inner(of, &|less| {
                                let mut map = map.clone();
                                map.insert(key.clone(), Field::Message(less));
                                Field::Map(map)
                            });
                        }
                    }
                }
                Field::List(list) => {
                    for (at, value) in list.iter().enumerate() {
                        if let Field::Message(of) = value {
                            inner(of, &|less| {
                                let mut list = list.clone();
                                list[at] = Field::Message(less);
                                Field::List(list)
                            });
                        }
                    }
                }
                _ => {}
            }
        }
        lacking
    }

    #[test]
    fn a_change_that_is_guarded_is_told_with_all_that_is_called() {
        let cases = embedded().expect("they are read");
        let guarded = "objects/etags/a-change-that-is-guarded";
        let case = cases.iter().find(|case| case.name == guarded);
        let told: Vec<_> = case
            .expect("it is there")
            .steps
            .iter()
            .map(sentence)
            .collect();
        let body = r#"{"definition":{"metadata":{"name":"thing","namespace":"${namespace}"}"#;
        assert!(
            told[1].starts_with(&format!("Call POST /v1/definitions with the body {body}")),
            "{told:#?}"
        );
        assert!(
            told[1].contains(r#", the header `if-match: "nonsense"`; the answer is 412 like {"#),
            "{told:#?}"
        );
        assert!(told[0].ends_with("; keep its header `etag` as `etag`."));
        assert_eq!(
            told[5],
            "Call DELETE /v1/definitions/thing?namespace=${namespace} with the header `if-match: ${etag}`; the answer is 412."
        );
    }

    #[test]
    fn names_that_nothing_was_kept_under_are_told_before_the_first_step() {
        let cases = embedded().expect("they are read");
        let name = regex::Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_]*)").expect("a pattern");
        for case in cases {
            let arranged = arranged(&case).concat();
            let told: Vec<String> = case.steps.iter().map(sentence).collect();
            let told = told.concat();
            for found in name.captures_iter(&told) {
                let kept = told.contains(&format!(" as `{}`", &found[1]));
                let named = arranged.contains(&format!("`{}", &found[0]));
                assert!(kept || named, "{}: {}", case.name, &found[0]);
            }
        }
    }

    #[test]
    fn what_a_driver_plays_is_told_of_each_attempt() {
        let told = of(
            r#"{driver: {hello: {capacity: 2}, transport: rest, play: {a: {attempts: [
                {logs: [x], checkpoint: "1\n", hold: true, cancelled: ignore, fail: {code: no}},
                {refuse: true}, {forget: true}, {echo: true}, {succeed: {n: 1}}, {error: {code: e}}]}}}}"#,
        );
        assert_eq!(
            told,
            [concat!(
                r#"Connect the driver `d` over `rest`, without a stream, with the hello {"capacity":2}; "#,
                r#"attempt 1 of `a`: it says the log lines ["x"], then says the checkpoint "1\n", "#,
                "then waits until it is released (cancelled before, it ignores it and goes on to wait), ",
                r#"then reports it `failed` with {"code":"no"}; "#,
                "attempt 2 of `a`: it refuses it; ",
                "attempt 3 of `a`: it takes it and says nothing more of it, not in heartbeats either; ",
                "attempt 4 of `a`: it succeeds with what its task came with; ",
                r#"attempt 5 of `a`: it succeeds with {"n":1}; "#,
                r#"attempt 6 of `a`: it reports it `errored` with {"code":"e"}; "#,
                "any other attempt succeeds without outputs.",
            )]
        );
    }

    #[test]
    fn calls_and_events_are_told_with_who_asks_when_and_what_is_kept() {
        let told = of(
            r#"{call: {path: /v1/runs, token: nobody, unanswered: later}, why: it waits},
            {call: {answered: later, status: 401, not_before_ms: 50, save: {k: /a, e: "header:etag"}}},
            {call: {path: /v1/runs, method: PUT, text: "{", type: text/plain, within_ms: 70}},
            {read: {path: /v1/x, last_event_id: "7", count: 2, save: {n: /0/id}}}"#,
        );
        assert_eq!(
            told,
            [
                "Call GET /v1/runs with no access token, as `nobody`; go on without its answer, which is that of the call `later` (it waits).",
                "Wait for the answer of the call `later`; the answer is 401; it comes no sooner than 50 ms behind the call; keep its header `etag` as `e`, its `/a` as `k`.",
                "Call PUT /v1/runs with the body as text \"{\", the media type `text/plain`; the answer is 200; call again until it is so, for 70 ms.",
                "Read the events of /v1/x with the header `Last-Event-ID: 7`, and hang up behind 2 events, within 10000 ms; keep its `/0/id` as `n`.",
            ]
        );
    }

    #[test]
    fn every_text_and_number_of_a_step_stands_in_its_sentence() {
        let mut count = 0;
        for (path, text) in files("engine") {
            let file = Located::read(path, text.as_bytes(), &Limits::default()).expect("YAML");
            let file = file.to_json();
            let written = file["cases"].as_array().expect("cases").iter();
            let cases = read_cases(path, text).expect("they are read");
            for (case, json) in cases.iter().zip(written) {
                let written = json["steps"].as_array().expect("steps");
                for (step, json) in case.steps.iter().zip(written) {
                    let told = sentence(step);
                    let mut all = Vec::new();
                    leaves(json, &mut all);
                    for leaf in all {
                        // Headers and names are told as they are, and JSON as JSON.
                        let bare = leaf.replace("\\\"", "\"");
                        let named = leaf.trim_start_matches("header:");
                        let has = |text: &str| told.contains(text);
                        assert!(
                            has(&leaf) || has(&bare) || has(named),
                            "{}: `{leaf}` is not in {told}",
                            case.name
                        );
                        count += 1;
                    }
                }
            }
        }
        assert!(count > 1_000, "{count}");
    }

    #[test]
    fn no_field_that_is_set_is_left_out() {
        let of = pool().get_message_by_name("conveyor.conformance.v1.EngineStep");
        let of = of.expect("it is there");
        let mut kinds = BTreeSet::new();
        for (place, step) in steps() {
            let told = sentence(&step);
            assert!(told.len() > 10, "{place}: {told}");
            let bytes = step.encode_to_vec();
            let whole = DynamicMessage::decode(of.clone(), &bytes[..]).expect("a step");
            kinds.extend(whole.fields().map(|(field, _)| field.name().to_owned()));
            for (field, less) in without_one(&whole) {
                let less = EngineStep::decode(&less.encode_to_vec()[..]).expect("a step");
                assert_ne!(sentence(&less), told, "{place} without {field}");
            }
        }
        let all: BTreeSet<_> = of.fields().map(|field| field.name().to_owned()).collect();
        assert_eq!(kinds, all, "each kind of step is of a case");
    }
}

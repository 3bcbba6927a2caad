//! Runs: their programs, samples, and the pipelines that come of them.

use crate::cases::{Flaws, Form, Shape, names, word};
use crate::interfere::inline;
use crate::samples::WORDS;
use crate::script::{document_of, ids_of, step_of};
use crate::v1;
use conveyor_engine::document::{Severity, load};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// What is wrong with a run.
pub(super) fn flaws(run: &v1::Run) -> Flaws {
    if run.tasks.is_empty() {
        return vec![(String::new(), "has no task".to_owned())];
    }
    let mut flaws = Flaws::new();
    let mut ids = BTreeSet::new();
    for (at, work) in run.tasks.iter().enumerate() {
        let below = format!("/tasks/{at}");
        for id in ids_of(work) {
            if !ids.insert(id.clone()) {
                flaws.push((
                    format!("{below}/id"),
                    format!("there is a task `{id}` already"),
                ));
            }
        }
        let wrong = sample(work)
            .into_iter()
            .chain(program(work))
            .chain(step(work));
        flaws.extend(wrong.map(|(at, why)| (format!("{below}{at}"), why)));
    }
    // What is wrong in a smaller place is told there alone.
    if flaws.is_empty() && run.refused.is_empty() {
        flaws.extend(pipeline(run));
    }
    flaws
}

fn sample(work: &v1::Work) -> Flaws {
    let asked = work.sample.as_str();
    let flaws = word("/sample", asked, WORDS);
    match flaws.is_empty() && !asked.is_empty() && !work.program.is_empty() {
        true => {
            let why = "stands beside a `program`: it is in its place";
            vec![("/sample".to_owned(), why.to_owned())]
        }
        false => flaws,
    }
}

fn program(work: &v1::Work) -> Flaws {
    if work.program.is_empty() {
        return Flaws::new();
    }
    let secrets = inline(&work.step)["secrets"].clone();
    program_flaws(&inline(&work.program), &secrets)
}

/// What is wrong with a program, which stands in a field `program`: commands that no driver knows, and names that
/// stand for nothing. `secrets` are the step's.
pub(super) fn program_flaws(program: &Json, secrets: &Json) -> Flaws {
    let pool = crate::cases::pool();
    let shape = Shape::new(pool, &["conveyor.conformance.v1.Program"], Form::Said);
    let whole = shape.flaws(&json!({ "program": program })).into_iter();
    let mut flaws: Flaws = whole
        .map(|(at, why)| {
            let why = why.replacen("unknown field", "unknown command or field", 1);
            (at, why)
        })
        .collect();
    for (at, command) in program.as_array().into_iter().flatten().enumerate() {
        let fields = command.as_object().into_iter().flatten();
        let does = fields.filter(|(name, _)| *name != "attempt").count();
        if does == 0 && command.is_object() {
            flaws.push((format!("/program/{at}"), "commands nothing".to_owned()));
        }
    }
    for (at, name) in names(program) {
        let (what, of) = name.split_once(':').unwrap_or((&name, ""));
        let why = match what {
            "dir" | "attempt" | "checkpoint" if of.is_empty() => continue,
            "long" if of.parse::<usize>().is_ok() => continue,
            "token" | "task" | "seen" => continue,
            "secret" if secrets.get(of).is_some() => continue,
            "secret" => format!("the step has no secret `{of}`: name it in `step: {{secrets: …}}`"),
            _ => format!(
                "nothing is called `${{{name}}}`: there are ${{dir}}, ${{attempt}}, ${{checkpoint}}, ${{secret:NAME}}, ${{long:COUNT}}, ${{token:STEP}}, ${{task:STEP/FIELD}}, ${{seen:/FIELD}}"
            ),
        };
        flaws.push((format!("/program{at}"), why));
    }
    flaws
}

fn step(work: &v1::Work) -> Flaws {
    let step = inline(&work.step);
    let Some(fields) = step.as_object() else {
        return vec![("/step".to_owned(), format!("{step} is no object"))];
    };
    let set = ["id", "driver"].into_iter();
    let set = set.filter(|field| fields.contains_key(*field));
    let why = |field: &str| match field {
        "id" => "is the task's own `id`",
        _ => "is the driver that is tested",
    };
    set.map(|field| (format!("/step/{field}"), why(field).to_owned()))
        .collect()
}

/// What an engine would say of the run's pipeline.
fn pipeline(run: &v1::Run) -> Flaws {
    let mut steps = Vec::new();
    let mut of = Vec::new();
    let mut secrets = BTreeSet::new();
    for (at, work) in run.tasks.iter().enumerate() {
        let more = inline(&work.step);
        let named = more["secrets"].as_object().into_iter().flatten();
        secrets.extend(named.filter_map(|(_, name)| name.as_str().map(str::to_owned)));
        for id in ids_of(work) {
            let program = (!work.program.is_empty()).then(|| inline(&work.program));
            steps.push(step_of(&id, "under-test", program, more.clone()));
            of.push(at);
        }
    }
    let document = document_of(secrets.iter().map(String::as_str), &steps);
    let Err(told) = load("case.json", document.to_string().as_bytes()) else {
        return Flaws::new();
    };
    let errors = told.iter().filter(|told| told.severity == Severity::Error);
    let mut flaws: Flaws = errors
        .map(|told| {
            let place = told.pointer.strip_prefix("/spec/steps/").and_then(|rest| {
                let (index, below) = rest.split_once('/').unwrap_or((rest, ""));
                let task = of.get(index.parse::<usize>().ok()?)?;
                Some(match below.strip_prefix("with/program") {
                    Some(below) => format!("/tasks/{task}/program{below}"),
                    None if below == "id" => format!("/tasks/{task}/id"),
                    None if below.is_empty() => format!("/tasks/{task}/step"),
                    None => format!("/tasks/{task}/step/{below}"),
                })
            });
            let mut why = told.message.clone();
            if let Some(found) = &told.found {
                why.push_str(&format!("; found {found}"));
            }
            if let Some(allowed) = &told.allowed {
                why.push_str(&format!("; allowed: {allowed}"));
            }
            (place.unwrap_or_default(), why)
        })
        .collect();
    // Copies of a task have the same mistakes.
    flaws.dedup();
    flaws
}

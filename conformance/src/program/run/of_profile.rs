//! Cases of files that are of another profile than the one that is run: they would fail of themselves, and that would count
//! against the driver.

use super::super::args::Profile;
use conveyor_conformance::v1;
use conveyor_conformance::v1::step::Step as What;
use conveyor_engine::document::{Limits, Located, Severity};

/// What is wrong with the cases of a file for a profile, each with its place.
pub(super) fn flaws(file: &str, text: &str, cases: &[v1::Case], profile: Profile) -> Vec<String> {
    let each = cases.iter().enumerate();
    let found: Vec<(String, String)> = each
        .flat_map(|(at, case)| {
            let found = of_case(case, profile).into_iter();
            found.map(move |(below, why)| (format!("/cases/{at}{below}"), why))
        })
        .collect();
    if found.is_empty() {
        return Vec::new();
    }
    let located = Located::read(file, text.as_bytes(), &Limits::default());
    let place = |pointer: &str| match &located {
        Ok(located) => {
            let told = located.diagnostic(Severity::Error, pointer, "");
            format!("{}:{}:{}", told.file, told.line, told.column)
        }
        // It was read before, so that it has places.
        Err(_) => file.to_owned(),
    };
    let told = found.into_iter();
    told.map(|(pointer, why)| format!("{}: {why} (at {pointer})", place(&pointer)))
        .collect()
}

/// What of a case is another profile's, by JSON pointers within it.
fn of_case(case: &v1::Case, profile: Profile) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, step) in case.script.iter().enumerate() {
        let at = format!("/script/{at}");
        let said = match &step.step {
            Some(What::Run(run)) => {
                for (index, work) in run.tasks.iter().enumerate() {
                    let at = format!("{at}/run/tasks/{index}");
                    let wrong = of_work(work, profile);
                    found.extend(wrong.map(|(field, why)| (format!("{at}/{field}"), why)));
                }
                continue;
            }
            Some(What::Ended(ended)) => ended.as_said.then_some("ended"),
            Some(What::Logged(logged)) => logged.as_said.then_some("logged"),
            Some(What::Published(published)) => published.as_said.then_some("published"),
            _ => None,
        };
        if let Some(step) = said.filter(|_| profile == Profile::Contract) {
            let why = "`as_said` is of the profile `driver`, whose config says it: say here what is to come, or choose the profile `driver`";
            found.push((format!("{at}/{step}/as_said"), why.to_owned()));
        }
    }
    found
}

fn of_work(work: &v1::Work, profile: Profile) -> Option<(&'static str, String)> {
    let (field, of, instead) = match profile {
        Profile::Driver if !work.program.is_empty() => ("program", "contract", "sample"),
        Profile::Contract if !work.sample.is_empty() => ("sample", "driver", "program"),
        _ => return None,
    };
    let why = format!(
        "`{field}` is of the profile `{of}`: give the task a `{instead}`, or choose the profile `{of}`"
    );
    Some((field, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_conformance::{embedded, read_cases};

    #[test]
    fn the_suite_s_own_cases_are_of_their_profiles() {
        for profile in [Profile::Contract, Profile::Driver] {
            let cases = embedded(profile.name()).expect("cases");
            for case in &cases {
                let found = of_case(case, profile);
                assert!(found.is_empty(), "{}: {found:?}", case.name);
            }
        }
    }

    #[test]
    fn what_is_of_another_profile_is_told_with_its_place() {
        let case =
            "cases:\n  - name: own/a/b\n    purpose: It is.\n    requires: [R17]\n    script:\n";
        let program =
            format!("{case}      - run: {{tasks: [{{program: []}}]}}\n      - ended: {{}}\n");
        let sample = format!(
            "{case}      - run: {{tasks: [{{sample: good}}]}}\n      - ended: {{as_said: true}}\n"
        );
        let told = |text: &str, profile| {
            let cases = read_cases("own.yaml", text).unwrap_or_else(|all| panic!("{all:?}"));
            flaws("own.yaml", text, &cases, profile)
        };
        assert_eq!(told(&program, Profile::Contract), [""; 0]);
        assert_eq!(told(&sample, Profile::Driver), [""; 0]);
        assert_eq!(
            told(&program, Profile::Driver),
            [
                "own.yaml:6:33: `program` is of the profile `contract`: give the task a `sample`, or choose the profile `contract` (at /cases/0/script/0/run/tasks/0/program)"
            ]
        );
        let found = told(&sample, Profile::Contract);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("own.yaml:6:32: `sample` is of the profile `driver`"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("own.yaml:7:26: `as_said` is of"),
            "{found:?}"
        );
    }
}

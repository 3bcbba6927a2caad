//! Shrinking: pipelines that say a little less.

use conveyor_sim::model::{Allow, FailFast, Needs, Pipeline, Step, Timeouts, When};

/// Every pipeline that one change makes simpler.
pub(crate) fn simpler(of: &Pipeline) -> Vec<Pipeline> {
    let mut out = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Pipeline)| {
        let mut changed = of.clone();
        change(&mut changed);
        if changed != *of {
            out.push(changed);
        }
    };
    offer(&|p| {
        p.finally.pop();
    });
    offer(&|p| {
        // Only the last step can go: the others are named by their place.
        if p.steps.len() > 1 {
            p.steps.pop();
        }
    });
    offer(&|p| p.timeout = None);
    offer(&|p| p.finally_timeout = 600_000);
    // Never from `false`: steps that may race there must not race under `true`.
    offer(&|p| {
        if p.fail_fast == FailFast::Cancel {
            p.fail_fast = FailFast::On;
        }
    });
    for at in 0..of.len() {
        let changes: [&dyn Fn(&mut Step); 12] = [
            &|s| {
                *s = Step {
                    needs: s.needs.clone(),
                    ..Step::new(&s.id)
                }
            },
            &|s| s.needs = s.needs.as_ref().map(|_| Needs::All(Vec::new())),
            &|s| s.fan = None,
            &|s| s.retry = None,
            &|s| s.when = When::Absent,
            &|s| s.allow = Allow::Never,
            &|s| s.with_error = false,
            &|s| s.timeouts = Timeouts::default(),
            &|s| s.timeouts.queue = None,
            &|s| s.timeouts.total = None,
            &|s| {
                if let Some(fan) = &mut s.fan {
                    fan.max_parallel = None;
                }
            },
            &|s| {
                if let Some(Needs::Rule { handles, .. }) = &mut s.needs {
                    handles.clear();
                }
            },
        ];
        for change in changes {
            offer(&|p| {
                let main = p.steps.len();
                let step = if at < main {
                    &mut p.steps[at]
                } else {
                    &mut p.finally[at - main]
                };
                change(step);
                // What depends on the item goes with the fan-out.
                if step.fan.is_none() {
                    if matches!(step.when, When::Each(_)) {
                        step.when = When::Absent;
                    }
                    if matches!(step.allow, Allow::Each(_)) {
                        step.allow = Allow::Never;
                    }
                }
            });
        }
    }
    out.retain(valid);
    out
}

/// Rules may ask `any_` and `all_` of fan-outs alone, and name steps that are there.
fn valid(pipeline: &Pipeline) -> bool {
    pipeline.steps.iter().all(|step| match &step.needs {
        Some(Needs::Rule { rule, .. }) => rule.fits(&|at| pipeline.step(at).fan.is_some()),
        _ => true,
    })
}

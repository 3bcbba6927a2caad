use super::*;
use crate::render::view::{AttemptView, Counts, FailureView, InstanceView, sample};
use conveyor_engine::run::{AttemptState, RunState};
use serde_json::json;

const PLAIN: Style = Style { colour: false };

fn failed(number: u32) -> AttemptView {
    AttemptView {
        number,
        state: Some(AttemptState::Failed),
        claimed_at: Some(Time(0)),
        ended_at: Some(Time(1_000)),
        detached_until_at: None,
        failure: Some(FailureView {
            code: "exit_status".to_owned(),
            message: "exit 1".to_owned(),
        }),
        ..AttemptView::default()
    }
}

fn ended() -> RunView {
    let mut view = sample(&["build", "test", "deploy"]);
    (view.state, view.reason) = (RunState::Failed, "`test` failed".to_owned());
    (view.started_at, view.ended_at) = (Some(Time(0)), Some(Time(65_000)));
    view.outputs = Some(json!({"digest": "abc"}));
    view.warnings = 1;
    let mut good = InstanceView::new(Some(json!({"os": "linux"})));
    (good.state, good.began_at, good.ended_at) =
        (StepState::Succeeded, Some(Time(0)), Some(Time(2_000)));
    let mut bad = InstanceView::new(Some(json!({"os": "mac"})));
    bad.state = StepState::Failed;
    bad.began_at = Some(Time(0));
    bad.attempts = vec![failed(1), failed(2)];
    let build = &mut view.steps[0];
    (build.state, build.ok, build.ended_at) = (StepState::Succeeded, true, Some(Time(2_000)));
    build.instances = vec![good.clone()];
    let test = &mut view.steps[1];
    (test.state, test.fan, test.ended_at) = (StepState::Failed, true, Some(Time(1_000)));
    test.instances = vec![good, bad];
    test.counts = Counts::of(&test.instances);
    let deploy = &mut view.steps[2];
    (deploy.state, deploy.reason) = (StepState::Omitted, "`test` failed".to_owned());
    deploy.ended_at = Some(Time(1_000));
    view
}

#[test]
fn each_step_that_did_not_succeed_says_why() {
    assert_eq!(
        summary(&ended(), Time(65_000), PLAIN),
        "✓ build   succeeded    2.0s\n\
         ✗ test    failed       1.0s  1/2 succeeded, 1 failed  exit_status: exit 1\n    \
             ✗ [os=mac]  failed after 2 attempts  exit_status: exit 1\n\
         - deploy  omitted            `test` failed\n\
         \n\
         digest = \"abc\"\n\
         \n\
         run 0198 failed in 1m05s, 1 warning: `test` failed\n"
    );
}

#[test]
fn instances_that_a_stop_ended_are_counted_and_not_listed() {
    let mut view = ended();
    let test = &mut view.steps[1];
    let mut stopped = InstanceView::new(None);
    (stopped.state, stopped.reason) = (StepState::Cancelled, "cancelled by ann".to_owned());
    test.instances.resize(5_000, stopped);
    test.counts = Counts::of(&test.instances);
    let text = summary(&view, Time(65_000), PLAIN);
    assert!(
        text.contains("1/5000 succeeded, 1 failed, 4998 cancelled"),
        "{text}"
    );
    assert!(text.contains("✗ [os=mac]  failed"), "{text}");
    assert!(!text.contains("cancelled by ann"), "{text}");
}

#[test]
fn what_a_run_is_comes_before_what_its_steps_did() {
    let mut view = ended();
    view.inputs = json!({"ref": "main"});
    view.actor = "ann\x1b[2J".to_owned();
    let text = show(&view, Time(65_000), PLAIN);
    for line in [
        "run          0198\n",
        "pipeline     default/release\n",
        "state        failed\n",
        "started      1970-01-01 00:00:00\n",
        "by           ann\n",
        "inputs       ref=\"main\"\n",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
    view.interrupted = true;
    let text = show(&view, Time(0), PLAIN);
    assert!(text.contains("state        interrupted\n"));
    let last = "run 0198 interrupted; `conveyor run --continue 0198` goes on with it\n";
    assert!(text.ends_with(last), "{text}");
}

#[test]
fn programs_get_words_and_instants() {
    let json = serde_json::to_value(ended()).expect("has a JSON form");
    assert_eq!(json["state"], "failed");
    assert_eq!(json["started_at"], "1970-01-01T00:00:00.000Z");
    assert_eq!(
        json["steps"][1]["instances"][1]["attempts"][1]["failure"]["code"],
        "exit_status"
    );
    assert_eq!(json["steps"][2]["instances"], json!([]));
}

#[test]
fn a_step_in_backoff_says_what_it_waits_for() {
    let mut view = sample(&["flaky"]);
    let flaky = &mut view.steps[0];
    let mut waiting = InstanceView::new(None);
    (waiting.state, waiting.began_at) = (StepState::Waiting, Some(Time(0)));
    waiting.attempts = vec![failed(1)];
    (flaky.state, flaky.instances) = (StepState::Waiting, vec![waiting]);
    flaky.waiting_for = Some("attempt 2, due at 1970-01-01T00:00:04.000Z".to_owned());
    let text = summary(&view, Time(1_000), PLAIN);
    let row = "◷ flaky  waiting      1.0s  waits for attempt 2, due at 1970-01-01T00:00:04.000Z  \
               exit_status: exit 1\n";
    assert!(text.starts_with(row), "{text}");
}

#[test]
fn a_fan_out_over_nothing_says_so() {
    let mut view = sample(&["each"]);
    let each = &mut view.steps[0];
    (each.state, each.ok, each.fan) = (StepState::Succeeded, true, true);
    each.reason = "no items".to_owned();
    let text = summary(&view, Time(0), PLAIN);
    assert!(
        text.starts_with("✓ each  succeeded          no items\n"),
        "{text}"
    );
}

#[test]
fn nothing_that_a_document_or_a_request_names_moves_the_cursor() {
    let mut view = ended();
    let nasty = "x\x1b[2J\u{9b}31m\r";
    view.labels = [(nasty.to_owned(), nasty.to_owned())].into();
    view.outputs = Some(json!({nasty: nasty}));
    view.inputs = json!({nasty: nasty});
    (view.actor, view.reason) = (nasty.to_owned(), nasty.to_owned());
    view.pipeline = nasty.to_owned();
    let test = &mut view.steps[1];
    test.instances[1].params = Some(json!({nasty: nasty}));
    test.waiting_for = Some(nasty.to_owned());
    test.reason = nasty.to_owned();
    let text = show(&view, Time(65_000), PLAIN);
    let controls: Vec<_> = text
        .chars()
        .filter(|c| c.is_control() && *c != '\n')
        .collect();
    assert_eq!(controls, [], "{text:?}");
}

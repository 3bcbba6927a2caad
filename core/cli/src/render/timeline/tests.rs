use super::*;
use crate::render::style::Style;
use crate::render::view::{AttemptView, InstanceView, RunView, sample};
use conveyor_engine::run::{AttemptState, StepState};

fn attempt(number: u32, from: u64, to: Option<u64>, state: AttemptState) -> AttemptView {
    AttemptView {
        number,
        state: to.map(|_| state),
        claimed_at: Some(Time(from)),
        ended_at: to.map(Time),
        detached_until_at: None,
        failure: None,
        ..AttemptView::default()
    }
}

fn retried() -> RunView {
    let mut view = sample(&["build", "test"]);
    view.started_at = Some(Time(0));
    view.ended_at = Some(Time(10_000));
    let mut instance = InstanceView::new(None);
    instance.began_at = Some(Time(0));
    instance.ended_at = Some(Time(6_000));
    instance.state = StepState::Succeeded;
    instance.attempts = vec![
        attempt(1, 1_000, Some(2_000), AttemptState::Failed),
        attempt(2, 4_000, Some(6_000), AttemptState::Succeeded),
    ];
    view.steps[0].instances.push(instance);
    let mut instance = InstanceView::new(None);
    instance.began_at = Some(Time(6_000));
    instance.state = StepState::Running;
    instance.attempts = vec![attempt(1, 6_000, None, AttemptState::Failed)];
    view.steps[1].instances.push(instance);
    view
}

#[test]
fn an_instance_has_no_gap_between_its_bars() {
    let (rows, left) = rows(&retried(), Time(10_000));
    assert_eq!(left, 0);
    let spans: Vec<_> = rows[0]
        .bars
        .iter()
        .map(|bar| (bar.from.0, bar.to.0, bar.work))
        .collect();
    assert_eq!(
        spans,
        [
            (0, 1_000, false),
            (1_000, 2_000, true),
            (2_000, 4_000, false),
            (4_000, 6_000, true)
        ]
    );
    assert_eq!(rows[1].bars[0].what, "attempt 1 running");
}

#[test]
fn bars_stand_under_their_time() {
    // 65 columns leave 50 for 10 s.
    let text = text(&retried(), Time(10_000), 65, Style { colour: false });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let build = ["░".repeat(5), "▓".repeat(5), "░".repeat(10), "█".repeat(10)].concat();
    assert_eq!(lines[1], format!("build  {build}{}  5.0s", " ".repeat(20)));
    assert_eq!(
        lines[2],
        format!("test   {}{}  4.0s", " ".repeat(30), "█".repeat(20))
    );
    assert!(lines[0].contains("╷5s"), "{text}");
}

#[test]
fn of_too_many_those_that_failed_and_the_longest_are_shown_in_their_order() {
    let mut view = sample(&["all"]);
    (view.started_at, view.ended_at) = (Some(Time(0)), Some(Time(100_000)));
    view.steps[0].fan = true;
    for at in 0..2_000 {
        let mut instance = InstanceView::new(None);
        instance.began_at = Some(Time(0));
        let state = match at {
            1_234 => AttemptState::Failed,
            _ => AttemptState::Succeeded,
        };
        // The last 600 take twice as long.
        let from = at * 10;
        let took = if at < 1_400 { 10 } else { 20 };
        instance.attempts = vec![attempt(1, from, Some(from + took), state)];
        instance.ended_at = Some(Time(from + took));
        view.steps[0].instances.push(instance);
    }
    let (rows, left) = rows(&view, Time(100_000));
    assert_eq!((rows.len(), left), (500, 1_500));
    assert_eq!(rows[0].label, "all[1234]", "it failed");
    assert!(rows[1..].iter().all(|row| row.took() == Duration(20)));
    let text = text(&view, Time(100_000), 80, Style { colour: false });
    let last =
        "… and 1500 more instances; shown are those that did not go well, then the longest\n";
    assert!(text.ends_with(last), "{text}");
}

#[test]
fn the_picture_has_a_bar_for_each_attempt() {
    let text = svg(&retried(), Time(10_000));
    assert_eq!(text.matches("<title>attempt").count(), 3, "{text}");
    assert!(text.contains("attempt 1 failed: 1.0s"));
}

#[test]
fn marks_of_an_axis_are_round() {
    assert_eq!(tick(10_000, 4), 5_000);
    assert_eq!(tick(800, 8), 100);
    assert_eq!(tick(40 * 86_400_000, 4), 10 * 86_400_000);
}

use super::*;
use crate::render::style::Style;
use crate::render::view::{FailureView, ProgressEvent, RunView, What, sample};
use conveyor_engine::run::{AttemptState, Identity, RunState, StepState};
use conveyor_engine::time::Time;

const PLAIN: Style = Style { colour: false };

/// A run whose events are told one by one.
struct Told {
    view: RunView,
    tails: Tails,
    time: u64,
    lines: Vec<String>,
}

fn id(step: u32, instance: u32, attempt: u32) -> Identity {
    Identity {
        step,
        instance,
        attempt,
    }
}

impl Told {
    fn new(ids: &[&str]) -> Told {
        let mut told = Told {
            view: sample(ids),
            tails: Tails::default(),
            time: 0,
            lines: vec![],
        };
        told.tell(What::Run {
            to: RunState::Running,
            reason: String::new(),
        });
        told
    }

    fn tell(&mut self, what: What) {
        let event = ProgressEvent {
            time: Time(self.time),
            what,
        };
        self.view.apply(&event);
        if let What::Log { id, text, .. } = &event.what {
            self.tails.push(*id, text);
        }
        self.lines.extend(line(&self.view, &event, PLAIN));
    }

    fn instance(&mut self, step: usize, instance: usize, to: StepState) {
        let (allowed, due, reason) = (false, None, String::new());
        self.tell(What::Instance {
            step,
            instance,
            to,
            allowed,
            due,
            reason,
        });
    }

    fn claim(&mut self, id: Identity) {
        self.instance(id.step as usize, id.instance as usize, StepState::Queued);
        self.tell(What::Claimed { id });
        self.instance(id.step as usize, id.instance as usize, StepState::Running);
    }

    fn end(&mut self, id: Identity, state: AttemptState, to: StepState) {
        let failed = state != AttemptState::Succeeded;
        let failure = failed.then(|| FailureView {
            code: "exit_status".to_owned(),
            message: "exit status 1".to_owned(),
        });
        let (outputs, reason) = (None, String::new());
        self.tell(What::Attempt {
            id,
            state,
            failure,
            outputs,
            reason,
        });
        self.instance(id.step as usize, id.instance as usize, to);
    }

    fn step(&mut self, step: usize, state: StepState) {
        let ok = state == StepState::Succeeded;
        let reason = String::new();
        self.tell(What::Step {
            step,
            state,
            ok,
            warnings: 0,
            reason,
        });
    }

    fn draw(&self, width: usize, height: usize) -> Vec<String> {
        let frame = Frame {
            width,
            height,
            now: Time(self.time),
            turn: 0,
        };
        tree(&self.view, &self.tails, frame, PLAIN)
    }
}

#[test]
fn what_runs_has_its_time_its_attempt_and_its_log() {
    let mut told = Told::new(&["build", "test", "deploy"]);
    told.claim(id(0, 0, 1));
    told.time = 2_000;
    told.end(id(0, 0, 1), AttemptState::Succeeded, StepState::Succeeded);
    told.step(0, StepState::Succeeded);
    told.claim(id(1, 0, 1));
    told.end(id(1, 0, 1), AttemptState::Failed, StepState::Waiting);
    told.claim(id(1, 0, 2));
    for line in 1..8 {
        let text = format!("line {line}");
        told.tell(What::Log {
            id: id(1, 0, 2),
            stderr: false,
            text,
        });
    }
    told.time = 5_000;
    let lines = told.draw(60, 20);
    assert_eq!(lines[0], "⠋ release  0198  running  5.0s  1/3 steps");
    assert_eq!(lines[1], "✓ build  2.0s");
    assert_eq!(lines[2], "⠋ test  3.0s  attempt 2");
    assert_eq!(lines[3], "    │ line 3", "five lines are kept");
    assert_eq!(lines[7], "    │ line 7");
    assert_eq!(lines[8], "· deploy");
}

#[test]
fn an_ended_fan_out_folds_to_one_line() {
    let mut told = Told::new(&["test"]);
    told.view.steps[0].fan = true;
    let params = ["linux", "mac"].map(|os| serde_json::json!({"os": os}));
    told.tell(What::Expanded {
        step: 0,
        instances: Ok(params.to_vec()),
    });
    told.claim(id(0, 0, 1));
    told.claim(id(0, 1, 1));
    told.time = 1_500;
    told.end(id(0, 0, 1), AttemptState::Succeeded, StepState::Succeeded);
    assert_eq!(
        told.draw(60, 20)[1..],
        ["⠋ test  1/2  1.5s", "  ⠋ os=mac  1.5s"]
    );
    told.end(id(0, 1, 1), AttemptState::Succeeded, StepState::Succeeded);
    told.step(0, StepState::Succeeded);
    assert_eq!(told.draw(60, 20)[1..], ["✓ test  2/2  1.5s"]);
}

#[test]
fn a_tree_is_never_higher_than_its_frame_and_keeps_what_runs() {
    let ids: Vec<_> = (0..100).map(|step| format!("s{step}")).collect();
    let mut told = Told::new(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for step in 0..40 {
        told.claim(id(step, 0, 1));
        told.end(
            id(step, 0, 1),
            AttemptState::Succeeded,
            StepState::Succeeded,
        );
        told.step(step as usize, StepState::Succeeded);
    }
    told.claim(id(40, 0, 1));
    told.claim(id(41, 0, 1));
    let lines = told.draw(30, 10);
    assert!(lines.len() <= 10, "{lines:#?}");
    for wanted in ["⠋ s40  0ms", "⠋ s41  0ms", "✓ s39  0ms"] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "no `{wanted}` in {lines:#?}"
        );
    }
    assert!(lines[1].contains("more steps done"), "{lines:#?}");
    assert!(
        lines.last().is_some_and(|line| line.contains("to come")),
        "{lines:#?}"
    );
    for line in told.draw(12, 10) {
        assert!(line.chars().count() <= 12, "`{line}` is too wide");
    }
}

#[test]
fn plain_lines_tell_each_event_once() {
    let mut told = Told::new(&["build"]);
    told.time = 61_250;
    told.claim(id(0, 0, 1));
    told.tell(What::Log {
        id: id(0, 0, 1),
        stderr: true,
        text: "oh \x1b[31mno\x1b[0m".to_owned(),
    });
    told.time = 63_250;
    told.end(id(0, 0, 1), AttemptState::Failed, StepState::Failed);
    told.step(0, StepState::Failed);
    told.tell(What::Run {
        to: RunState::Failed,
        reason: "`build` failed".to_owned(),
    });
    assert_eq!(
        told.lines,
        [
            "00:00:00.000 run 0198 running",
            "00:01:01.250 build running",
            "00:01:01.250 build ! oh no",
            "00:01:03.250 build attempt 1 failed: exit_status: exit status 1",
            "00:01:03.250 build failed in 2.0s",
            "00:01:03.250 run 0198 failed in 1m03s: `build` failed",
        ]
    );
}

#[test]
fn a_drawing_goes_over_the_one_before() {
    let told = Told::new(&["build", "test"]);
    let mut out = Vec::new();
    let mut live = Live::new(&mut out, PLAIN);
    let frame = Frame {
        width: 40,
        height: 10,
        now: Time(0),
        turn: 0,
    };
    live.draw(&told.view, frame).expect("a vector takes all");
    live.clear().expect("a vector takes all");
    let text = String::from_utf8(out).expect("is UTF-8");
    assert_eq!(text.matches("\r\n").count(), 3, "{text:?}");
    assert!(text.ends_with("\x1b[?7l\x1b[3A\x1b[J\x1b[?7h"), "{text:?}");
}

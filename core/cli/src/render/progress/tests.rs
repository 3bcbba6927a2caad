use super::tree::tree;
use super::*;
use crate::render::style::Style;
use crate::render::view::{FailureView, ProgressEvent, RunView, What, sample};
use conveyor_engine::run::{AttemptState, Identity, RunState, StepState};
use conveyor_engine::time::Time;
use std::num::NonZero;

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

    fn tell(&mut self, what: What) -> ProgressEvent {
        let event = ProgressEvent {
            time: Time(self.time),
            what,
        };
        self.view.apply(&event);
        if let What::Log { id, text, .. } = &event.what {
            self.tails.push(*id, text);
        }
        self.lines.extend(line(&self.view, &event, PLAIN));
        event
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

    fn log(&mut self, id: Identity, text: &str) -> ProgressEvent {
        let (stderr, text) = (false, text.to_owned());
        self.tell(What::Log { id, stderr, text })
    }

    fn fan(&mut self, step: usize, count: usize) {
        self.view.steps[step].fan = true;
        let instances = Err(count);
        self.tell(What::Expanded { step, instances });
    }

    fn frame(&self, width: usize, height: usize) -> Frame {
        Frame {
            width,
            height,
            now: Time(self.time),
            turn: 0,
        }
    }

    fn draw(&self, width: usize, height: usize) -> Vec<String> {
        let lines = tree(&self.view, &self.tails, self.frame(width, height), PLAIN);
        assert!(lines.len() <= height, "{lines:#?}");
        let wide = lines.iter().find(|line| line.width() > width);
        assert!(wide.is_none(), "{wide:?} is wider than {width}");
        lines.iter().map(ToString::to_string).collect()
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
        told.log(id(1, 0, 2), &format!("line {line}"));
    }
    told.time = 5_000;
    let lines = told.draw(40, 20);
    assert_eq!(lines[0], "⠋ release  running  1/3 steps       5.0s");
    assert_eq!(lines[1], "✓ build                             2.0s");
    assert_eq!(lines[2], "⠋ test  attempt 2                   3.0s");
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
    let lines = told.draw(24, 20);
    assert_eq!(lines[1], "⠋ test  1/2         1.5s");
    assert_eq!(lines[2], "  ⠋ [os=mac]        1.5s");
    told.end(id(0, 1, 1), AttemptState::Succeeded, StepState::Succeeded);
    told.step(0, StepState::Succeeded);
    assert_eq!(told.draw(24, 20)[1..], ["✓ test  2/2         1.5s"]);
}

#[test]
fn a_fan_out_of_ten_thousand_is_its_counts_what_runs_and_what_failed_last() {
    let mut told = Told::new(&["test"]);
    told.fan(0, 10_000);
    for instance in 0..137 {
        let id = id(0, instance, 1);
        told.claim(id);
        match instance % 20 {
            7 => told.end(id, AttemptState::Failed, StepState::Failed),
            _ => told.end(id, AttemptState::Succeeded, StepState::Succeeded),
        }
    }
    told.claim(id(0, 137, 1));
    told.claim(id(0, 138, 1));
    let lines = told.draw(80, 24);
    assert!(
        lines[1].starts_with("⠋ test  137/10000, 7 failed"),
        "{lines:#?}"
    );
    let shown: Vec<_> = lines[2..]
        .iter()
        .map(|line| line.split("  ").nth(1).unwrap_or_default())
        .collect();
    assert_eq!(
        shown,
        ["✗ [87]", "✗ [107]", "✗ [127]", "⠋ [137]", "⠋ [138]"]
    );
}

#[test]
fn time_in_the_queue_is_no_time_at_work() {
    let mut told = Told::new(&["test"]);
    told.fan(0, 2);
    told.instance(0, 0, StepState::Queued);
    told.instance(0, 1, StepState::Queued);
    told.time = 60_000;
    told.tell(What::Claimed { id: id(0, 1, 1) });
    told.instance(0, 1, StepState::Running);
    told.time = 62_000;
    assert_eq!(told.draw(24, 9)[2], "  ⠋ [1]             2.0s");
    told.end(id(0, 1, 1), AttemptState::Succeeded, StepState::Succeeded);
    let last = told.lines.last().map(String::as_str);
    assert_eq!(last, Some("00:01:02.000 test[1] succeeded in 2.0s"));
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
    for wanted in ["⠋ s40", "⠋ s41", "✓ s39"] {
        assert!(
            lines.iter().any(|line| line.starts_with(wanted)),
            "no `{wanted}` in {lines:#?}"
        );
    }
    assert!(lines[1].contains("more steps done"), "{lines:#?}");
    assert_eq!(lines[9], "· 58 more to come");
    // Narrow and low ones are checked in `draw`.
    for (width, height) in [(12, 10), (3, 4), (2, 1), (80, 2), (80, 3)] {
        told.draw(width, height);
    }
}

#[test]
fn a_flood_of_logs_takes_no_row_from_what_runs() {
    let mut told = Told::new(&["all", "last"]);
    told.fan(0, 16);
    for instance in 0..16 {
        told.claim(id(0, instance, 1));
        for line in 0..1_000 {
            told.log(
                id(0, instance, 1),
                &format!("line {line} {}", "x".repeat(2_000)),
            );
        }
    }
    let lines = told.draw(80, 23);
    let running = lines.iter().filter(|line| line.starts_with("  ⠋ ["));
    assert_eq!(running.count(), 16, "{lines:#?}");
    let said: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("    │ line 999"))
        .collect();
    assert_eq!(
        said.len(),
        4,
        "what room there is has their last lines: {lines:#?}"
    );
    assert_eq!(lines.len(), 23);
}

#[test]
fn wide_letters_take_the_columns_that_they_take() {
    let mut told = Told::new(&["deploy"]);
    told.view.pipeline = "部署".to_owned();
    told.claim(id(0, 0, 1));
    told.log(id(0, 0, 1), &"完成👩‍💻".repeat(40));
    // Widths are checked in `draw`.
    let lines = told.draw(33, 10);
    assert_eq!(lines[0], "⠋ 部署  running  0/1 steps    0ms");
    assert!(lines[2].ends_with('…'), "{lines:#?}");
}

/// A terminal that has been written to.
fn terminal(columns: u16, rows: u16, bytes: &[u8]) -> vt100::Parser {
    let [columns, rows] = [columns, rows].map(|n| NonZero::new(n).expect("it has a size"));
    let mut terminal = vt100::Parser::new(rows, columns, 100);
    terminal.process(bytes);
    terminal
}

fn rows(terminal: &vt100::Parser) -> Vec<String> {
    let contents = terminal.screen().contents();
    contents
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn a_drawing_goes_over_the_one_before_and_leaves_what_stood_above() {
    let mut told = Told::new(&["build", "test"]);
    let mut live = Live::new(b"$ conveyor run\r\n".to_vec(), PLAIN);
    live.draw(&told.view, told.frame(40, 9))
        .expect("a vector takes all");
    told.claim(id(0, 0, 1));
    live.take(&told.log(id(0, 0, 1), "完成"));
    live.draw(&told.view, told.frame(40, 9))
        .expect("a vector takes all");
    let screen = terminal(40, 10, live.out());
    let drawn = [
        "$ conveyor run",
        "⠹ release  running  0/2 steps        0ms",
        "⠹ build                              0ms",
        "    │ 完成",
        "· test",
    ];
    assert_eq!(rows(&screen), drawn);
    assert_eq!(
        screen.screen().cursor_position(),
        (5, 0),
        "under the drawing"
    );
    assert!(!screen.screen().hide_cursor());

    live.say("conveyor: cancelling\n", &told.view, told.frame(40, 9))
        .expect("a vector takes all");
    let screen = terminal(40, 10, live.out());
    assert_eq!(
        rows(&screen)[..3],
        ["$ conveyor run", "conveyor: cancelling", drawn[1]]
    );

    told.end(id(0, 0, 1), AttemptState::Succeeded, StepState::Succeeded);
    live.clear().expect("a vector takes all");
    let screen = terminal(40, 10, live.out());
    assert_eq!(rows(&screen), ["$ conveyor run", "conveyor: cancelling"]);
    assert_eq!(screen.screen().cursor_position(), (2, 0));
    assert!(!screen.screen().hide_cursor());
}

#[test]
fn only_what_changed_is_written() {
    let told = Told::new(&["build", "test"]);
    let mut live = Live::new(Vec::new(), PLAIN);
    live.draw(&told.view, told.frame(80, 20))
        .expect("a vector takes all");
    let first = live.out().len();
    live.draw(&told.view, told.frame(80, 20))
        .expect("a vector takes all");
    let second = String::from_utf8(live.out()[first..].to_vec()).expect("is UTF-8");
    assert!(
        second.contains('⠹') || second.contains('⠙'),
        "the spinner turns: {second:?}"
    );
    assert!(
        !second.contains("build") && !second.contains("release"),
        "{second:?}"
    );
}

#[test]
fn a_terminal_that_becomes_narrower_is_drawn_anew() {
    let told = Told::new(&["build", "test"]);
    let mut live = Live::new(Vec::new(), PLAIN);
    live.draw(&told.view, told.frame(40, 9))
        .expect("a vector takes all");
    let first = live.out().len();
    live.draw(&told.view, told.frame(25, 9))
        .expect("a vector takes all");
    // The head of 40 columns has become two rows of 25: two, one and one have to go.
    let second = String::from_utf8(live.out()[first..].to_vec()).expect("is UTF-8");
    let erased = second.matches("\x1b[1A\x1b[2K").count();
    assert_eq!(erased, 4, "{second:?}");
}

#[test]
fn colours_are_in_the_cells_or_nowhere() {
    let mut told = Told::new(&["build"]);
    told.claim(id(0, 0, 1));
    told.end(id(0, 0, 1), AttemptState::Failed, StepState::Failed);
    told.step(0, StepState::Failed);
    for colour in [true, false] {
        let mut live = Live::new(Vec::new(), Style { colour });
        live.draw(&told.view, told.frame(80, 9))
            .expect("a vector takes all");
        let screen = terminal(80, 9, live.out());
        let mark = screen.screen().cell(1, 0).expect("it is on the screen");
        assert_eq!(mark.contents(), "✗", "{:?}", rows(&screen));
        let wanted = if colour {
            vt100::Color::Idx(1)
        } else {
            vt100::Color::Default
        };
        assert_eq!(mark.fgcolor(), wanted);
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

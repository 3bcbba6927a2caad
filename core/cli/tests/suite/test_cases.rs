use crate::program::{Ended, RELEASE, conveyor, files, root};

/// Plays one case of the pipeline [`RELEASE`].
fn play(case: &str) -> Ended {
    let cases = format!("cases:\n  - name: the case\n    inputs: {{ref: main}}\n{case}");
    let dir = files(&[("p.yaml", RELEASE), ("p.test.yaml", &cases)]);
    conveyor(dir.path(), &["test", "p.yaml"])
}

fn passes(case: &str) {
    let ended = play(case);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    assert!(
        ended.out.contains("1 case: 1 passed, 0 failed"),
        "{}",
        ended.out
    );
}

/// The case fails, and its report has the text.
fn fails(case: &str, text: &str) {
    let ended = play(case);
    assert_eq!(ended.status, 1, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains(text), "no `{text}` in:\n{}", ended.out);
}

#[test]
fn a_wait_takes_its_time_by_the_virtual_clock() {
    passes(
        "
    steps: {image: {outputs: {digest: abc}, duration: 2m}}
    expect:
      state: succeeded
      duration: 12m
      outputs: {digest: abc}
      order: [checkout, test, image, soak, notify]
      steps:
        checkout: {with: {ref: main}}
        copies: {instances: [succeeded, succeeded]}
        undo: omitted
",
    );
}

#[test]
fn attempts_give_what_is_listed_and_the_last_for_ever() {
    passes(
        "
    steps:
      test:
        - {failure: {code: flaky, message: once}}
        - {}
    expect: {state: succeeded, steps: {test: {attempts: 6}}}
",
    );
}

#[test]
fn an_instance_is_mocked_by_what_makes_it_different() {
    passes(
        "
    steps:
      test:
        instances:
          - where: {os: mac}
            attempts: [{failure: {code: broken, retryable: false}}]
    expect:
      state: failed
      steps:
        test: {state: failed, failure: broken, instances: [succeeded, succeeded, failed]}
        image: {state: omitted, reason: test}
",
    );
}

#[test]
fn a_handled_failure_leaves_the_run_succeeded() {
    passes(
        "
    steps: {image: {failure: {code: no}}}
    expect: {state: succeeded, steps: {undo: succeeded, soak: omitted}}
",
    );
}

#[test]
fn a_driver_that_hangs_meets_the_timeout_of_the_attempt() {
    passes(
        "
    steps: {image: {hangs: true}}
    expect: {state: failed, duration: 10m, steps: {image: timed_out, undo: omitted}}
",
    );
    passes(
        "
    steps: {image: {hangs: true, ignores_cancel: true}}
    expect: {duration: 10m30s, steps: {image: timed_out}}
",
    );
}

#[test]
fn losses_are_tried_again_on_their_own_budget() {
    passes(
        "
    steps: {image: [{lost: lease}, {lost: process_dead}, {outputs: {digest: d}}]}
    expect: {state: succeeded, steps: {image: {attempts: 3}}}
",
    );
    passes(
        "
    steps: {image: {lost: lease}}
    expect: {state: failed, steps: {image: {state: errored, attempts: 4, reason: lost 4 times}}}
",
    );
}

#[test]
fn a_stop_in_the_middle_runs_finally() {
    passes(
        "
    steps: {image: {duration: 5m}}
    actions: [{do: cancel, after: 1m, reason: wrong branch}]
    expect: {state: cancelled, duration: 1m, steps: {image: cancelled, soak: cancelled, notify: succeeded}}
",
    );
    passes(
        "
    actions: [{do: pause, after: 1m}, {do: resume, after: 30m}]
    expect: {state: succeeded, duration: 30m}
",
    );
}

#[test]
fn what_is_not_as_expected_is_told_with_its_place_and_the_run() {
    fails(
        "    expect: {state: failed, steps: {image: {attempts: 2}}}\n",
        "    state: expected failed, found succeeded\n    steps.image.attempts: expected 2, found 1\n    │ ✓ checkout",
    );
    fails(
        "    expect: {warnings: 1}\n",
        "warnings: expected 1, found 0",
    );
    fails(
        "    expect: {order: [image, test]}\n",
        "order: expected image, test; the steps began as",
    );
    fails(
        "    actions: [{do: pause, after: 1m}]\n    expect: {}\n",
        "the run is paused and no action resumes it",
    );
}

#[test]
fn inputs_that_are_refused_can_be_expected() {
    let cases = "cases: [{name: none, expect: {refused: ref}}, {name: two, inputs: {copies: 0}, expect: {}}]";
    let dir = files(&[("p.yaml", RELEASE), ("p.test.yaml", cases)]);
    let ended = conveyor(dir.path(), &["test", "p.yaml"]);
    assert_eq!(ended.status, 1);
    assert!(ended.out.contains("✓ none  refused"), "{}", ended.out);
    assert!(
        ended.out.contains("the inputs are refused: "),
        "{}",
        ended.out
    );
}

#[test]
fn a_case_that_names_what_is_not_there_is_refused() {
    for (case, text) in [
        (
            "    steps: {imge: {}}\n    expect: {}\n",
            "steps.imge: no such step; there are: checkout, test",
        ),
        ("    expect: {steps: {imge: failed}}\n", "no step `imge`"),
        (
            "    steps: {soak: {}}\n    expect: {}\n",
            "steps.soak: only a driver has results",
        ),
        (
            "    steps: {image: {outptus: {}}}\n    expect: {}\n",
            "outptus",
        ),
        (
            "    expect: {steps: {image: done}}\n",
            "`done` is no such state; there are: pending",
        ),
        (
            "    steps: {image: {duration: 5}}\n    expect: {}\n",
            "duration",
        ),
        (
            "    steps: {image: {instances: [{index: 0, attempts: [{}]}]}}\n    expect: {}\n",
            "for a matrix or a foreach",
        ),
    ] {
        let ended = play(case);
        assert_eq!(ended.status, 2, "{case}{}{}", ended.out, ended.err);
        assert!(ended.err.contains(text), "no `{text}` in:\n{}", ended.err);
        assert!(ended.err.contains("p.test.yaml"), "{}", ended.err);
    }
}

#[test]
fn reports_are_for_programs_too() {
    let cases = "cases: [{name: \"a <b>\", inputs: {ref: x}, expect: {state: failed}}, {name: good, inputs: {ref: x}, expect: {}}]";
    let dir = files(&[("p.yaml", RELEASE), ("c.yaml", cases)]);
    let args = [
        "test", "p.yaml", "--cases", "c.yaml", "--junit", "r.xml", "-o", "json",
    ];
    let ended = conveyor(dir.path(), &args);
    assert_eq!(ended.status, 1, "{}", ended.err);
    let json: serde_json::Value = serde_json::from_str(&ended.out).expect("is JSON");
    assert_eq!(json["cases"][0]["ok"], false);
    assert_eq!(json["cases"][1]["millis"], 600_000);
    let xml = std::fs::read_to_string(dir.path().join("r.xml")).expect("it was written");
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
    assert!(xml.contains("name=\"a &lt;b&gt;\""), "{xml}");
    assert!(
        xml.contains("state: expected failed, found succeeded"),
        "{xml}"
    );
    let args = ["test", "p.yaml", "--cases", "c.yaml", "--filter", "good"];
    assert_eq!(conveyor(dir.path(), &args).status, 0);
}

#[test]
fn the_examples_cases_pass() {
    let ended = conveyor(&root(), &["test", "examples/release/pipeline.yaml"]);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("4 cases: 4 passed"), "{}", ended.out);
}

#[test]
fn ten_thousand_instances_are_played() {
    let pipeline = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: wide}\nspec:\n  steps:\n    - {id: all, driver: exec, foreach: {items: \"${{ lists.range(10000) }}\", max_items: 10000, max_parallel: 100}}\n";
    let cases = "cases: [{name: wide, steps: {all: {duration: 1s}}, expect: {state: succeeded, duration: 1m40s}}]";
    let dir = files(&[("p.yaml", pipeline), ("p.test.yaml", cases)]);
    let ended = conveyor(dir.path(), &["test", "p.yaml"]);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("10000 attempts"), "{}", ended.out);
}

#[test]
fn a_mock_of_an_instance_that_there_is_not_fails_the_case() {
    fails(
        "
    steps: {copies: {instances: [{index: 0, attempts: [{}]}, {index: 9, attempts: [{failure: {code: x}}]}]}}
    expect: {}
",
        "steps.copies.instances[1]: `index` is 9, and none of the 2 instances is that",
    );
    fails(
        "
    steps: {copies: {instances: [{where: nowhere, attempts: [{failure: {code: x}}]}]}}
    expect: {}
",
        "steps.copies.instances[0]: `where` is \"nowhere\", and none",
    );
}

#[test]
fn an_action_after_the_end_fails_the_case() {
    fails(
        "
    actions: [{do: pause, after: 1s}, {do: resume, after: 2s}, {do: cancel, after: 10h}]
    expect: {state: succeeded}
",
        "actions[2]: cancel after 10h: the run had ended after 10m",
    );
}

#[test]
fn an_action_that_the_run_does_not_take_is_named() {
    let ended = play("    actions: [{do: resume, after: 1s}]\n    expect: {}\n");
    assert_eq!(ended.status, 1, "{}{}", ended.out, ended.err);
    for text in [
        "✗ the case  not ended",
        "actions[0]: resume after 1s: nothing to change: the run is running",
    ] {
        assert!(ended.out.contains(text), "no `{text}` in:\n{}", ended.out);
    }
    fails(
        "
    actions: [{do: pause, after: 1s}]
    expect: {}
",
        "✗ the case  not ended",
    );
}

#[test]
fn a_failure_without_a_message_does_not_hide_the_reason() {
    passes(
        "
    steps: {image: {failure: {code: x, retryable: false}, hangs: false}}
    expect: {state: succeeded, steps: {image: {state: failed, reason: x}}}
",
    );
    let dir = files(&[
        (
            "p.yaml",
            "metadata: {name: p}
spec:
  steps:
    - {id: a, driver: exec, retry: {attempts: 3, backoff: {initial: 1s}}, with: {run: 'true', env: {N: '${{ string(1 / (2 - attempt.number)) }}'}}}
",
        ),
        (
            "p.test.yaml",
            "cases:
  - name: divides
    steps: {a: {failure: {code: x}}}
    expect: {steps: {a: {state: errored, reason: 'division by zero (x)'}}}
",
        ),
    ]);
    let ended = conveyor(dir.path(), &["test", "p.yaml"]);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
}

#[test]
fn a_file_of_cases_that_cannot_be_read_says_where_and_what_to_do() {
    for (cases, lines) in [
        (
            "cases: [{name: a, expect: {}, name: b}]\n",
            ["p.test.yaml:1:31: error: ", "the key \"name\" stands twice"],
        ),
        (
            "cases:\n  - name: a\n    expect: {steps: {image: {atempts: 1}}}\n",
            ["p.test.yaml:3:", "unknown field `atempts`"],
        ),
        ("cases:\n  - {name: [\n", ["p.test.yaml:", "error: "]),
    ] {
        let dir = files(&[("p.yaml", RELEASE), ("p.test.yaml", cases)]);
        let ended = conveyor(dir.path(), &["test", "p.yaml"]);
        assert_eq!(ended.status, 2, "{}{}", ended.out, ended.err);
        for text in lines {
            assert!(ended.err.contains(text), "no `{text}` in:\n{}", ended.err);
        }
        for text in ["DuplicateKeyPolicy", "<input>"] {
            assert!(!ended.err.contains(text), "{}", ended.err);
        }
    }
    let dir = files(&[("p.yaml", RELEASE)]);
    let ended = conveyor(dir.path(), &["test", "p.yaml"]);
    assert_eq!(ended.status, 2, "{}{}", ended.out, ended.err);
    for text in ["p.test.yaml does not exist", "--cases"] {
        assert!(ended.err.contains(text), "no `{text}` in:\n{}", ended.err);
    }
}

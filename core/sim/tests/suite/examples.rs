//! The table "Examples that must hold" of SEMANTICS, row by row, against the model.

use crate::case::{Case, foreach, is, matrix, needs, retry, rule, run, start, step, wait};
use conveyor_engine::run::StepState::{
    Cancelled, Failed, Omitted, Running, Skipped, Succeeded, Waiting,
};
use conveyor_engine::run::{RunState, StopKind};
use conveyor_sim::model::{
    Allow, AttemptResult, FailFast, Pipeline, Predicate, Retry, Rule, Step, Timeouts, When,
};

const HOUR: u64 = 3_600_000;

#[test]
fn listed_steps_need_the_one_before() {
    let mut case = run(vec![step("a"), step("b")]);
    case.claim_and_fail("a");
    assert_eq!(case.ended("b"), Some(Omitted));
    assert_eq!(case.reason("b"), "a failed");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn after_a_failure_what_runs_finishes_and_nothing_new_starts() {
    let mut case = run(vec![
        step("a"),
        needs("b", &[0]),
        needs("c", &[0]),
        needs("d", &[2]),
    ]);
    case.claim_and_succeed("a");
    case.claim("c");
    case.claim_and_fail("b");
    assert!(!case.is_told_to_stop("c"));
    assert_eq!(case.ended("d"), Some(Omitted));
    assert_eq!(case.reason("d"), "run failed at b");
    case.succeed("c");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn without_fail_fast_independent_branches_go_on() {
    let steps = vec![
        step("a"),
        needs("b", &[0]),
        needs("c", &[0]),
        needs("d", &[2]),
    ];
    let mut case = start(Pipeline {
        steps,
        fail_fast: FailFast::Off,
        ..Pipeline::default()
    });
    case.claim_and_succeed("a");
    case.claim("c");
    case.claim_and_fail("b");
    case.succeed("c");
    case.claim_and_succeed("d");
    assert_eq!(case.state(), RunState::Failed);
}

fn rollback(handles: &[usize]) -> Vec<Step> {
    vec![
        needs("deploy", &[]),
        rule("rollback", is(0, Failed), handles),
        needs("regions", &[0]),
    ]
}

#[test]
fn a_rollback_is_omitted_when_nothing_failed() {
    let mut case = run(rollback(&[]));
    case.claim_and_succeed("deploy");
    assert_eq!(case.ended("rollback"), Some(Omitted));
    case.claim_and_succeed("regions");
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_rollback_runs_after_a_failure() {
    let mut case = run(rollback(&[]));
    case.claim_and_fail("deploy");
    case.claim_and_succeed("rollback");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_handler_that_succeeds_handles() {
    let mut case = run(rollback(&[0]));
    case.claim_and_fail("deploy");
    assert_eq!(case.ended("regions"), Some(Omitted));
    case.claim_and_succeed("rollback");
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_handler_that_fails_does_not_handle() {
    let mut case = run(rollback(&[0]));
    case.claim_and_fail("deploy");
    case.claim_and_fail("rollback");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn an_allowed_failure_is_a_warning() {
    let a = Step {
        allow: Allow::Always,
        ..step("a")
    };
    let mut case = run(vec![a, step("b")]);
    case.claim_and_fail("a");
    assert_eq!(case.ended("a"), Some(Failed));
    case.claim_and_succeed("b");
    assert_eq!(case.warnings(), 1);
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn an_allowed_instance_does_not_fail_its_step() {
    let allow = Allow::Each(vec![false, true, false]);
    let t = Step {
        fan: matrix(3),
        allow,
        ..needs("t", &[])
    };
    let mut case = run(vec![
        t,
        needs("b", &[0]),
        rule("rollback", is(0, Failed), &[]),
    ]);
    case.claim_instance("t", 1);
    case.fail_instance("t", 1);
    for instance in [0, 2] {
        case.claim_instance("t", instance);
        case.report_instance("t", instance, AttemptResult::Succeeded);
    }
    assert_eq!(case.ended("t"), Some(Succeeded));
    assert_eq!(case.ended("rollback"), Some(Omitted));
    case.claim_and_succeed("b");
    assert_eq!(case.warnings(), 1);
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_skipped_step_is_ok() {
    let a = Step {
        when: When::Is(false),
        ..step("a")
    };
    let mut case = run(vec![a, step("b")]);
    assert_eq!(case.ended("a"), Some(Skipped));
    case.claim_and_succeed("b");
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_cleanup_runs_after_an_omitted_step() {
    let cleanup = rule("cleanup", Rule::Is(1, Predicate::Ended), &[]);
    let mut case = run(vec![needs("test", &[]), needs("image", &[0]), cleanup]);
    case.claim_and_fail("test");
    assert_eq!(case.ended("image"), Some(Omitted));
    assert_eq!(case.reason("image"), "test failed");
    case.claim_and_succeed("cleanup");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn what_has_started_is_retried_after_a_failure_elsewhere() {
    let c = Step {
        retry: retry(3),
        ..needs("c", &[])
    };
    let mut case = run(vec![needs("a", &[]), c]);
    case.claim_and_fail("c");
    assert_eq!(case.instances("c"), [Waiting]);
    case.claim_and_fail("a");
    case.pass(1000);
    case.claim_and_succeed("c");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_wait_is_cancelled_after_a_failure_elsewhere() {
    let soak = Step {
        needs: Some(needs("", &[]).needs.expect("a list")),
        ..wait("w", 24 * HOUR)
    };
    let mut case = run(vec![needs("a", &[]), soak]);
    case.claim_and_fail("a");
    assert_eq!(case.ended("w"), Some(Cancelled));
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_half_done_fan_out_finishes_what_it_started() {
    let f = Step {
        fan: foreach(500, Some(10)),
        ..needs("f", &[])
    };
    let mut case = run(vec![needs("a", &[]), f]);
    for instance in 0..20 {
        case.claim_instance("f", instance);
        case.report_instance("f", instance, AttemptResult::Succeeded);
    }
    for instance in 20..30 {
        case.claim_instance("f", instance);
    }
    case.claim_and_fail("a");
    assert_eq!(case.count("f", Running), 10);
    assert_eq!(case.count("f", Omitted), 470);
    for instance in 20..30 {
        case.report_instance("f", instance, AttemptResult::Succeeded);
    }
    assert_eq!(case.ended("f"), Some(Omitted));
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_failing_instance_cancels_its_siblings() {
    let mut case = run(vec![Step {
        fan: matrix(3),
        ..step("m")
    }]);
    for instance in 0..3 {
        case.claim_instance("m", instance);
    }
    case.fail_instance("m", 1);
    assert!(case.is_told_to_stop("m"));
    case.report_instance("m", 0, AttemptResult::Cancelled);
    case.pass(30_000);
    assert_eq!(case.instances("m"), [Cancelled, Failed, Cancelled]);
    assert_eq!(case.ended("m"), Some(Failed));
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_fan_out_over_nothing_succeeds() {
    let a = Step {
        fan: foreach(0, None),
        ..step("a")
    };
    let mut case = run(vec![a, step("b")]);
    assert_eq!(case.ended("a"), Some(Succeeded));
    assert_eq!(case.reason("a"), "no items");
    case.claim_and_succeed("b");
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn errors_are_tried_again() {
    let mut case = run(vec![Step {
        retry: retry(3),
        ..step("a")
    }]);
    case.claim("a");
    case.error("a");
    case.pass(1000);
    case.claim("a");
    case.error("a");
    case.pass(1999);
    assert!(!case.offers("a"), "the second delay is twice the first");
    case.pass(1);
    case.claim_and_succeed("a");
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_class_that_retry_does_not_name_is_not_tried_again() {
    let policy = Retry {
        attempts: 3,
        on_failure: false,
        on_timeout: false,
        ..Retry::default()
    };
    let mut case = run(vec![Step {
        retry: Some(policy),
        ..step("a")
    }]);
    case.claim_and_fail("a");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_driver_may_forbid_another_try() {
    let mut case = run(vec![Step {
        retry: retry(3),
        ..step("a")
    }]);
    case.claim("a");
    let failed = AttemptResult::Failed {
        retryable: Some(false),
        retry_after: None,
    };
    case.report_instance("a", 0, failed);
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_loss_is_not_a_try() {
    let mut case = run(vec![Step {
        retry: retry(2),
        ..step("a")
    }]);
    case.claim("a");
    case.lose("a");
    case.claim("a");
    case.error("a");
    case.pass(1000);
    case.claim_and_succeed("a");
    let view = case.model.view();
    assert_eq!(
        view.steps[0].instances.as_ref().expect("a plain step")[0].attempts,
        3
    );
    assert_eq!(case.state(), RunState::Succeeded);
}

#[test]
fn a_success_within_the_grace_counts() {
    let timeouts = Timeouts {
        attempt: 500,
        ..Timeouts::default()
    };
    let mut case = run(vec![Step {
        timeouts,
        ..step("a")
    }]);
    case.claim("a");
    case.pass(500);
    assert!(case.is_told_to_stop("a"));
    case.pass(29_999);
    case.succeed("a");
    assert_eq!(case.state(), RunState::Succeeded);
}

fn with_finally(steps: Vec<Step>) -> Case {
    start(Pipeline {
        steps,
        finally: vec![step("f")],
        ..Pipeline::default()
    })
}

#[test]
fn a_cancel_leaves_the_grace_and_runs_finally() {
    let mut case = with_finally(vec![step("a"), step("b")]);
    case.claim("a");
    case.stop(StopKind::Cancel);
    assert_eq!(case.state(), RunState::Cancelling);
    assert_eq!(case.ended("b"), Some(Cancelled));
    case.pass(29_999);
    assert_eq!(case.ended("a"), None);
    case.pass(1);
    assert_eq!(case.ended("a"), Some(Cancelled));
    assert_eq!(case.state(), RunState::Finishing);
    case.claim_and_succeed("f");
    assert_eq!(case.state(), RunState::Cancelled);
}

#[test]
fn a_terminate_ends_finally_too() {
    let mut case = with_finally(vec![step("a")]);
    case.claim("a");
    case.stop(StopKind::Cancel);
    case.report_instance("a", 0, AttemptResult::Cancelled);
    case.claim("f");
    case.stop(StopKind::Terminate);
    assert_eq!(case.ended("f"), Some(Cancelled));
    assert_eq!(case.state(), RunState::Cancelled);
}

#[test]
fn a_cancel_lifts_a_pause() {
    let mut case = with_finally(vec![step("a")]);
    case.pause();
    assert_eq!(case.state(), RunState::Paused);
    assert!(!case.offers("a"));
    case.stop(StopKind::Cancel);
    case.claim_and_succeed("f");
    assert_eq!(case.state(), RunState::Cancelled);
}

#[test]
fn a_failing_finally_fails_the_run() {
    let mut case = with_finally(vec![step("a")]);
    case.claim_and_succeed("a");
    case.claim_and_fail("f");
    assert_eq!(case.state(), RunState::Failed);
}

#[test]
fn a_run_timeout_cancels_and_runs_finally() {
    let mut case = start(Pipeline {
        steps: vec![step("a")],
        finally: vec![step("f")],
        timeout: Some(5000),
        ..Pipeline::default()
    });
    case.claim("a");
    case.pass(5000);
    assert_eq!(case.state(), RunState::Cancelling);
    case.report_instance("a", 0, AttemptResult::Cancelled);
    assert_eq!(case.ended("a"), Some(Cancelled));
    assert_eq!(case.reason("a"), "run timeout");
    case.claim_and_succeed("f");
    assert_eq!(case.state(), RunState::Failed);
}

use crate::support::{alive, eventually, exec, submit, task};
use conveyor_engine::time::Duration;
use conveyor_node::driver::{Checkpoints, Logs, Outcome};
use serde_json::json;

#[tokio::test]
async fn a_task_cancelled_before_its_start_starts_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (sender, cancelled) = tokio::sync::watch::channel(Some("early".into()));
    let (logs, _lines) = Logs::channel();
    let (checkpoints, _) = Checkpoints::channel();
    let context = conveyor_node::driver::Context {
        logs,
        cancelled,
        checkpoints,
    };
    let with = json!({"run": "touch started", "dir": dir.path()});
    let outcome = conveyor_node::driver::Driver::run(&*exec(), task(with), context).await;
    drop(sender);
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(!dir.path().join("started").exists());
}

#[tokio::test]
async fn the_whole_group_is_told_to_stop() {
    let mut running = submit(&*exec(), task(json!({"run": "sleep 60 & echo $!; wait"})));
    let pid = running.line().await;
    running.cancel();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
    eventually("the child is gone", || !alive(&pid));
}

#[tokio::test]
async fn a_success_inside_the_grace_counts() {
    let script = "trap 'echo saved=1 >$CONVEYOR_OUTPUT; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut running = submit(
        &*exec(),
        task(json!({"run": script, "shell": ["sh", "-c"]})),
    );
    assert_eq!(running.line().await, "ready");
    running.cancel();
    assert_eq!(
        running.end().await.0,
        Outcome::Succeeded(json!({"saved": "1"}))
    );
}

#[tokio::test]
async fn a_child_cleans_up_after_its_shell_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let child =
        "trap 'sleep 0.2; touch cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let with = json!({"run": "sh -c \"$CHILD\"; true", "env": {"CHILD": child}, "dir": dir.path()});
    let mut running = submit(&*exec(), task(with));
    assert_eq!(running.line().await, "ready");
    running.cancel();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
    assert!(dir.path().join("cleaned").exists());
}

#[tokio::test]
async fn who_ignores_the_signal_is_killed_before_the_grace_is_over() {
    let mut task = task(
        json!({"run": "trap '' TERM; echo $$; sleep 60 & echo $!; while :; do sleep 60; done"}),
    );
    task.grace = Duration::millis(400);
    let mut running = submit(&*exec(), task);
    let (leader, child) = (running.line().await, running.line().await);
    running.cancel();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
    eventually("both are gone", || !alive(&leader) && !alive(&child));
}

#[tokio::test]
async fn a_task_that_nobody_awaits_any_more_is_killed() {
    let mut running = submit(&*exec(), task(json!({"run": "echo $$; exec sleep 60"})));
    let pid = running.line().await;
    running.outcome.abort();
    assert!(running.outcome.await.expect_err("aborted").is_cancelled());
    eventually("the command is gone", || !alive(&pid));
}

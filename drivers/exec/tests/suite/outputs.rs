use crate::support::{exec, failure, run, submit, task, texts};
use conveyor_driver_exec::MAX_OUTPUT_BYTES;
use conveyor_node::driver::{LogStream, Outcome};
use serde_json::json;
use std::path::Path;

#[tokio::test]
async fn lines_and_objects_become_outputs() {
    let (outcome, _) =
        run(json!({"run": "echo a=1 >>$CONVEYOR_OUTPUT; echo b=x=y >>$CONVEYOR_OUTPUT"})).await;
    assert_eq!(outcome, Outcome::Succeeded(json!({"a": "1", "b": "x=y"})));
    let (outcome, _) =
        run(json!({"run": r#"echo '{"n": 9007199254740993}' >$CONVEYOR_OUTPUT"#})).await;
    assert_eq!(
        outcome,
        Outcome::Succeeded(json!({"n": 9_007_199_254_740_993_i64}))
    );
}

#[tokio::test]
async fn a_failed_command_keeps_its_outputs() {
    let (outcome, _) = run(json!({"run": "echo a=1 >$CONVEYOR_OUTPUT; exit 1"})).await;
    assert!(matches!(outcome, Outcome::Failed(_, Some(outputs)) if outputs == json!({"a": "1"})));
    let (outcome, lines) = run(json!({"run": "echo what >$CONVEYOR_OUTPUT; exit 1"})).await;
    assert!(matches!(outcome, Outcome::Failed(failure, None) if &*failure.code == "exit_status"));
    assert!(texts(&lines, LogStream::Log)[0].starts_with("the outputs are not kept: line 1 "));
}

#[tokio::test]
async fn outputs_over_the_limit_name_limit_and_value() {
    let with = json!({"run": "head -c 1048577 /dev/zero >$CONVEYOR_OUTPUT"});
    let (outcome, _) = run(with).await;
    let Outcome::Errored(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(&*failure.code, "output_too_large");
    assert!(
        failure.message.contains("1048577")
            && failure.message.contains(&MAX_OUTPUT_BYTES.to_string())
    );
}

#[tokio::test]
async fn outputs_that_cannot_be_read_are_errored_at_once() {
    let text = failure(json!({"run": "echo hello >$CONVEYOR_OUTPUT"})).await;
    assert_eq!(
        (&*text.code, text.retryable),
        ("invalid_output", Some(false))
    );
    let pipe = failure(json!({"run": "rm $CONVEYOR_OUTPUT; mkfifo $CONVEYOR_OUTPUT"})).await;
    assert!(
        pipe.message.contains("no longer a regular file"),
        "{}",
        pipe.message
    );
}

#[tokio::test]
async fn the_file_is_private_and_goes_with_the_attempt() {
    let driver = exec();
    let with = json!({"run": "echo $CONVEYOR_OUTPUT; ls -ld ${CONVEYOR_OUTPUT%/*} | cut -c1-10"});
    let (_, lines) = submit(&*driver, task(with)).end().await;
    let texts = texts(&lines, LogStream::Stdout);
    assert_eq!(texts[1], "drwx------");
    let all = Path::new(&texts[0])
        .ancestors()
        .nth(2)
        .expect("the directory of all attempts")
        .to_owned();
    assert!(!Path::new(&texts[0]).exists() && all.exists());
    drop(driver);
    assert!(!all.exists());
}

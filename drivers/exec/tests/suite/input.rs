use crate::support::{TRACEPARENT, details, exec, failure, run, submit, task, texts};
use conveyor_driver_exec::WORKDIR_LABEL;
use conveyor_node::driver::{LogStream, Outcome};
use serde_json::json;

#[tokio::test]
async fn an_empty_with_is_no_command() {
    for with in [
        json!({}),
        json!({"command": []}),
        json!({"env": {"A": "1"}}),
    ] {
        let failure = failure(with).await;
        assert_eq!(
            (&*failure.code, failure.retryable),
            ("no_command", Some(false))
        );
    }
}

#[tokio::test]
async fn wrong_input_is_told_in_the_documents_words() {
    for (with, part) in [
        (
            json!({"command": ["true"], "run": "true"}),
            "`command` and `run` are both given",
        ),
        (
            json!({"command": "make test"}),
            "`command` is a string, expected a list",
        ),
        (
            json!({"command": ["echo", {}]}),
            "`command[1]` is an object",
        ),
        (
            json!({"command": ["true"], "shell": "sh"}),
            "`shell` goes with `run`",
        ),
        (
            json!({"run": "true", "comand": 1}),
            "unknown field `comand` in `with`; exec knows command, run,",
        ),
        (
            json!({"run": "true", "env": {"A": []}}),
            "`env.A` is an empty list",
        ),
        (
            json!({"run": "true", "env": {"CONVEYOR_STEP": "x"}}),
            "CONVEYOR_",
        ),
        (json!({"run": "true", "env": {"A=B": "x"}}), "\"A=B\""),
        (
            json!({"run": "a\u{0}b"}),
            "`run` has a NUL character at byte 1",
        ),
        (
            json!({"run": "true", "inherit_env": "yes"}),
            "`inherit_env` is a string, expected true or false",
        ),
        (
            json!({"run": "true", "dir": ""}),
            "`dir` is an empty string",
        ),
        (json!([]), "`with` is an empty list, expected an object"),
    ] {
        let failure = failure(with.clone()).await;
        assert_eq!(
            (&*failure.code, failure.retryable),
            ("invalid_input", Some(false)),
            "{with}"
        );
        assert!(
            failure.message.contains(part),
            "{with}: {}",
            failure.message
        );
    }
}

#[tokio::test]
async fn the_schema_knows_every_field_and_no_other() {
    let info = exec().info();
    let schema = info.actions[0].inputs.as_ref().expect("a schema");
    assert_eq!(schema["additionalProperties"], json!(false));
    for field in schema["properties"].as_object().expect("properties").keys() {
        let failure = failure(json!({ field: null })).await;
        assert!(
            !failure.message.contains("unknown field"),
            "{field}: {}",
            failure.message
        );
    }
}

#[tokio::test]
async fn an_action_that_is_not_there_is_errored() {
    let mut task = task(json!({"run": "true"}));
    task.action = Some("fly".into());
    let (outcome, _) = submit(&*exec(), task).end().await;
    assert!(matches!(outcome, Outcome::Errored(failure) if &*failure.code == "no_such_action"));
}

#[tokio::test]
async fn a_command_that_is_not_there_names_it_and_the_path() {
    let missing = failure(json!({"command": ["no-such-thing"], "env": {"PATH": "/a:/b"}})).await;
    assert_eq!(
        (&*missing.code, &*missing.message),
        (
            "not_found",
            "there is no command `no-such-thing` in PATH (/a:/b)"
        )
    );
    let missing = failure(json!({"command": ["./no-such-thing"], "dir": "/"})).await;
    assert_eq!(
        (&*missing.code, &*missing.message),
        ("not_found", "there is no command `/./no-such-thing`")
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_executed_is_permission_denied() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("tool"), "echo no").expect("a file");
    for with in [
        json!({"command": ["./tool"], "dir": dir.path()}),
        json!({"command": ["tool"], "env": {"PATH": dir.path()}}),
        json!({"command": ["/"]}),
    ] {
        assert_eq!(
            &*failure(with.clone()).await.code,
            "permission_denied",
            "{with}"
        );
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_bad_dir() {
    for dir in ["/no/such/place", "/dev/null"] {
        let failure = failure(json!({"run": "true", "dir": dir})).await;
        assert_eq!(&*failure.code, "bad_dir");
        assert!(failure.message.contains(dir), "{}", failure.message);
    }
}

#[tokio::test]
async fn arguments_too_long_for_the_system_are_told_with_their_size() {
    let failure = failure(json!({"command": ["echo", "x".repeat(8 << 20)]})).await;
    assert_eq!(
        (&*failure.code, failure.retryable),
        ("invalid_input", Some(false))
    );
    assert!(
        failure.message.contains("use `stdin` or a file"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn the_environment_is_what_is_named_and_nothing_else() {
    let (_, lines) =
        run(json!({"command": ["env"], "env": {"A": "x y", "N": 22, "B": true, "LANG": null}}))
            .await;
    let mut names: Vec<String> = texts(&lines, LogStream::Stdout);
    names.retain(|line| {
        !line.starts_with("CONVEYOR_OUTPUT=")
            && !line.starts_with("PATH=")
            && !line.starts_with("HOME=")
    });
    names.sort();
    assert_eq!(
        names,
        [
            "A=x y",
            "B=true",
            "CONVEYOR_ATTEMPT=1",
            "CONVEYOR_INSTANCE=2",
            "CONVEYOR_NAMESPACE=default",
            "CONVEYOR_RUN_ID=0197-run",
            "CONVEYOR_STEP=build",
            "N=22",
            &format!("TRACEPARENT={TRACEPARENT}"),
        ]
    );
}

#[tokio::test]
async fn the_trace_context_is_the_attempts_unless_the_step_says_another() {
    for (env, expected) in [
        (json!({}), TRACEPARENT),
        (json!({"TRACEPARENT": "its own"}), "its own"),
        (json!({"TRACEPARENT": null}), "none"),
    ] {
        let with = json!({"run": "echo ${TRACEPARENT-none}", "env": env, "inherit_env": true});
        let (_, lines) = run(with).await;
        assert_eq!(texts(&lines, LogStream::Stdout), [expected]);
    }
}

#[tokio::test]
async fn inherit_env_takes_everything() {
    let own = "CARGO_PKG_NAME";
    assert!(std::env::var_os(own).is_some(), "cargo sets it for tests");
    for (inherit, expected) in [(false, "none"), (true, "conveyor-driver-exec")] {
        let run_text = format!("echo ${{{own}-none}}");
        let (_, lines) = run(json!({"run": run_text, "inherit_env": inherit})).await;
        assert_eq!(texts(&lines, LogStream::Stdout), [expected]);
    }
}

#[tokio::test]
async fn dir_starts_at_the_runs_own_directory() {
    let base = tempfile::tempdir().expect("a directory");
    let base = base.path().canonicalize().expect("its real path");
    std::fs::create_dir(base.join("sub")).expect("a directory");
    for (with, expected) in [
        (json!({"command": ["pwd"]}), base.clone()),
        (json!({"command": ["pwd"], "dir": "sub"}), base.join("sub")),
        (json!({"command": ["pwd"], "dir": "/"}), "/".into()),
    ] {
        let mut task = task(with);
        task.labels
            .insert(WORKDIR_LABEL.into(), base.display().to_string());
        let (_, lines) = submit(&*exec(), task).end().await;
        assert_eq!(
            texts(&lines, LogStream::Stdout),
            [expected.display().to_string()]
        );
    }
}

#[tokio::test]
async fn stdin_is_the_text_or_nothing() {
    let long = "x".repeat(300_000);
    let (_, lines) = run(json!({"run": "wc -c", "stdin": long})).await;
    assert_eq!(texts(&lines, LogStream::Stdout)[0].trim(), "300000");
    let (_, lines) = run(json!({"run": "wc -c"})).await;
    assert_eq!(texts(&lines, LogStream::Stdout)[0].trim(), "0");
    // A command that does not read it all is not held up by it.
    assert_eq!(
        run(json!({"run": "true", "stdin": long})).await.0,
        Outcome::Succeeded(json!({}))
    );
}

#[tokio::test]
async fn a_script_ends_at_its_first_failing_line() {
    let (outcome, lines) = run(json!({"run": "echo one\nfalse\necho two"})).await;
    assert!(matches!(outcome, Outcome::Failed(..)));
    assert_eq!(texts(&lines, LogStream::Stdout), ["one"]);
    let (_, lines) = run(json!({"run": "false; echo $0", "shell": ["sh", "-c"]})).await;
    assert_eq!(texts(&lines, LogStream::Stdout), ["sh"]);
}

#[tokio::test]
async fn how_a_command_ended_is_in_the_failure() {
    let exit = failure(json!({"run": "exit 7"})).await;
    assert_eq!(
        (&*exit.code, details(&exit)),
        ("exit_status", json!({"exit_code": 7}))
    );
    assert_eq!(&*exit.message, "the command exited with status 7");
    let signal = failure(json!({"run": "kill -s KILL $$"})).await;
    assert_eq!(
        (&*signal.code, details(&signal)),
        ("signal", json!({"signal": "SIGKILL"}))
    );
    assert_eq!((exit.retryable, signal.retryable), (None, None));
}

#[tokio::test]
async fn a_failure_repeats_what_was_said_last_on_standard_error() {
    let run = "echo first >&2; echo 'cc: no input files' >&2; echo out; echo ' ' >&2; exit 2";
    let said = failure(json!({"run": run})).await;
    let wanted = "the command exited with status 2: cc: no input files";
    assert_eq!(&*said.message, wanted);
    let signal = failure(json!({"run": "echo 'giving up' >&2; kill -s TERM $$"})).await;
    assert_eq!(
        &*signal.message,
        "the command was ended by SIGTERM: giving up"
    );
    // Long, and not even UTF-8: cut, with a mark, on a whole character.
    let run = "printf '\\377' >&2; printf 'é%.0s' $(seq 1000) >&2; exit 1";
    let long = failure(json!({"run": run})).await;
    let said = long
        .message
        .strip_prefix("the command exited with status 1: ");
    let said = said.expect("it is repeated");
    assert_eq!(said.chars().count(), 201, "{said}");
    assert!(
        said.starts_with("\u{fffd}éé") && said.ends_with("é…"),
        "{said}"
    );
}

//! Reports, progress, checkpoints, and names.

use super::{VALUE, World, failed, forms, masked, shows, succeeded};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use prost::bytes::Bytes;
use tonic::Request;

#[tokio::test]
async fn words_of_progress_are_masked_in_every_form() {
    let world = World::new().await;
    let (run, task) = world.task().await;
    for form in forms() {
        // A cut at 1 KiB comes after the masking: it leaves no half of a secret.
        for before in [0, 1015] {
            let progress = v1::TaskProgress {
                token: task.token.clone(),
                permille: Some(500),
                message: format!("{}<{form}>", "-".repeat(before)),
            };
            world.driver.beat(vec![progress]).await;
            let progress = world.attempt(&run).await.progress.expect("told");
            masked(&progress.message, &form);
        }
    }
}

#[tokio::test]
async fn every_word_of_a_failure_is_masked_in_every_form() {
    let world = World::new().await;
    for form in forms() {
        let (run, task) = world.task().await;
        let details = serde_json::json!({ "text": [format!("<{form}>")], format!("k {form}"): 1 });
        let code = format!("c {form}");
        let told = world
            .report(
                &task,
                failed(&code, &format!("<{form}>"), &details.to_string()),
            )
            .await;
        assert_eq!(told.status(), v1::ReportStatus::Accepted, "{form}");
        let failure = world.attempt(&run).await.failure.expect("it failed");
        masked(&failure.code, &form);
        masked(&failure.message, &form);
        masked(&String::from_utf8_lossy(&failure.details), &form);
    }
    world.is_nowhere();
}

#[tokio::test]
async fn outputs_with_a_secret_in_any_form_are_kept_nowhere() {
    let world = World::new().await;
    for form in forms() {
        let outputs = serde_json::json!({ "x": [{ "y": format!("<{form}>") }] }).to_string();
        let (run, task) = world.task().await;
        let told = world.report(&task, succeeded(outputs.clone())).await;
        assert_eq!(told.status(), v1::ReportStatus::Invalid, "{form}");
        assert!(told.reason.contains("`token`") && !shows(told.reason.as_bytes()));
        let attempt = world.attempt(&run).await;
        assert_eq!(attempt.state(), v1::AttemptState::Errored);
        let code = attempt.failure.expect("it is in error").code;
        assert_eq!(code, "secret_in_outputs", "{form}");
        // Those of a failure are left out.
        let (run, task) = world.task().await;
        let result = v1::Result {
            outputs: outputs.into(),
            ..failed("no", "no", "")
        };
        assert_eq!(
            world.report(&task, result).await.status(),
            v1::ReportStatus::Accepted
        );
        assert!(world.attempt(&run).await.outputs.is_empty(), "{form}");
    }
    world.is_nowhere();
}

#[tokio::test]
async fn why_a_report_cannot_be_read_is_said_without_its_secrets() {
    let world = World::new().await;
    let key = serde_json::to_string(VALUE).expect("JSON");
    for outputs in [
        format!("{{{key}: 1, {key}: 2}}"),
        format!("{{{key}: 18446744073709551616}}"),
        format!("{{\"a\": {key}"),
        format!("{{\"a\": {VALUE}}}"),
    ] {
        let (run, task) = world.task().await;
        let told = world.report(&task, succeeded(outputs.clone())).await;
        assert_eq!(told.status(), v1::ReportStatus::Invalid, "{outputs}");
        assert!(!shows(told.reason.as_bytes()), "{}", told.reason);
        let failure = world.attempt(&run).await.failure.expect("it is in error");
        assert_eq!(failure.message, told.reason);
    }
    world.is_nowhere();
}

#[tokio::test]
async fn checkpoints_with_a_secret_in_any_form_are_refused() {
    let world = World::new().await;
    let (_, task) = world.task().await;
    let save = async |data: String| {
        let checkpoint = v1::Checkpoint {
            token: task.token.clone(),
            data: data.into(),
        };
        let request = v1::SaveCheckpointRequest {
            checkpoint: Some(checkpoint),
        };
        world
            .driver
            .handlers
            .save_checkpoint(Request::new(request))
            .await
    };
    for form in forms() {
        let refused = save(format!("at <{form}>")).await.expect("an answer");
        let refused = refused.into_inner();
        assert_eq!(refused.status(), v1::ReportStatus::Invalid, "{form}");
        let why = refused.reason;
        assert!(why.contains("`token`") && !shows(why.as_bytes()), "{why}");
    }
    let kept = save("at 7".to_owned()).await.expect("kept").into_inner();
    assert_eq!(kept.status(), v1::ReportStatus::Accepted);
    world.is_nowhere();
}

#[tokio::test]
async fn a_task_that_goes_on_elsewhere_is_masked_as_any_other() {
    let world = World::new().await;
    let detach = |principals: Vec<String>| {
        v1::task_answer::Answer::Detached(v1::Detached {
            until_ms: u64::MAX,
            principals,
        })
    };
    for form in forms() {
        let (run, task) = world.task().await;
        let names = detach(vec!["a".into(), form.clone()]);
        let refused = world.driver.answer(&task.token, names).await;
        let refused = refused.expect("an answer").refused.remove(0);
        assert_eq!(refused.kind(), v1::RefusedKind::Detached, "{form}");
        let why = refused.reason;
        assert!(why.contains("`token`") && !shows(why.as_bytes()), "{why}");
        let detached = world.driver.answer(&task.token, detach(vec!["a".into()]));
        detached.await.expect("it is the driver's");
        world.log(&task, 0, &[format!("<{form}>")]).await;
        let result = v1::Result {
            last_log_offset: Some(1),
            ..failed("no", &format!("<{form}>"), "")
        };
        let report = v1::TaskReport {
            token: task.token.clone(),
            result: Some(result),
        };
        let request = v1::CompleteTaskRequest {
            report: Some(report),
        };
        let told = world
            .driver
            .handlers
            .complete_task(Request::new(request))
            .await;
        let told = told.expect("an answer").into_inner().outcome.expect("told");
        assert_eq!(told.status(), v1::ReportStatus::Accepted);
        world.log(&task, 1, &[format!("late <{form}>")]).await;
        let failure = world.attempt(&run).await.failure.expect("it failed");
        masked(&failure.message, &form);
        for line in world.lines(&run).await {
            masked(&line, &form);
        }
    }
    world.is_nowhere();
}

#[tokio::test]
async fn a_report_said_again_is_known_though_its_secret_has_gone_or_changed() {
    let world = World::new().await;
    let details = serde_json::json!({ "said": VALUE, "n": 1 }).to_string();
    let mut said = Vec::new();
    for result in [
        failed(
            &format!("c{VALUE}"),
            &format!("no: {VALUE}, twice {VALUE}."),
            &details,
        ),
        succeeded(serde_json::json!({ "x": VALUE }).to_string()),
        v1::Result {
            outputs: Bytes::from(serde_json::json!({ "x": VALUE }).to_string()),
            ..failed("no", "nothing of it", "")
        },
        succeeded(r#"{"x": 1}"#.to_owned()),
        succeeded("[1]".to_owned()),
        succeeded("{".to_owned()),
    ] {
        let (_, task) = world.task().await;
        let first = world.report(&task, result.clone()).await.status();
        assert_ne!(first, v1::ReportStatus::Stale);
        said.push((task, result));
    }
    for secret in [Some(VALUE), None, Some("another one")] {
        world.secret_is(secret);
        for (task, result) in &said {
            let told = world.report(task, result.clone()).await;
            assert_eq!(
                told.status(),
                v1::ReportStatus::Already,
                "{secret:?} {result:?}"
            );
            let mut other = result.clone();
            match &mut other.failure {
                Some(failure) => failure.message.push('!'),
                None => other = failed("no", "no", ""),
            }
            let last = v1::Result {
                last_log_offset: Some(7),
                ..result.clone()
            };
            for other in [other, last] {
                let told = world.report(task, other).await;
                assert_eq!(
                    told.status(),
                    v1::ReportStatus::Stale,
                    "{secret:?} {result:?}"
                );
            }
        }
    }
    world.is_nowhere();
}

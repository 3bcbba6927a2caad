//! What an engine says of a task before its action sees it, and of its end before it counts.

use crate::{Action, Failure, bounds};
use conveyor_proto::v1;
use serde_json::Value;

/// An engine's view of an action.
pub(super) struct Judge<'a>(pub(super) Option<&'a Action>);

impl Judge<'_> {
    /// Whether the inputs are what the action takes.
    pub(super) fn inputs(&self, inputs: &Value) -> Result<(), Failure> {
        let Some(schema) = self.0.and_then(|action| action.inputs.as_ref()) else {
            return Ok(());
        };
        match violations(schema, "/with", inputs)? {
            None => Ok(()),
            Some(told) => {
                let message = format!("`with` is not what the driver takes: {told}");
                Err(Failure::errored("invalid_input", message).permanent())
            }
        }
    }

    /// How the attempt ends.
    pub(super) fn ended(&self, result: Result<Value, Failure>) -> Result<Value, Failure> {
        let invalid = |message: String| Failure::errored("invalid_output", message);
        let outputs = bounds::held(result, &bounds::known(v1::Limits::default()))?;
        if !outputs.is_object() {
            return Err(invalid("the outputs are not a JSON object".to_owned()));
        }
        let Some(schema) = self.0.and_then(|action| action.outputs.as_ref()) else {
            return Ok(outputs);
        };
        match violations(schema, "outputs", &outputs)? {
            None => Ok(outputs),
            Some(told) => Err(invalid(format!(
                "the outputs are not what the driver says that it gives: {told}"
            ))),
        }
    }
}

/// What is wrong with a value, if anything.
///
/// # Errors
/// Where the schema is none: a server does not take the driver.
#[cfg(feature = "test-schemas")]
fn violations(schema: &Value, place: &str, value: &Value) -> Result<Option<String>, Failure> {
    use conveyor_engine::plan::Schema;
    let schema = Schema::compile(schema).map_err(|why| {
        let message = format!("the action's schema of `{place}` cannot be: {why}");
        Failure::errored("invalid_schema", message).permanent()
    })?;
    let Err(violations) = schema.check(value) else {
        return Ok(None);
    };
    let each = violations.iter();
    let each = each.map(|one| format!("{place}{}: {}", one.pointer, one.message));
    let each: Vec<_> = each.collect();
    Ok(Some(each.join("; ")))
}

/// Without the feature, schemas are not looked at.
#[cfg(not(feature = "test-schemas"))]
fn violations(_: &Value, _: &str, _: &Value) -> Result<Option<String>, Failure> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use crate::testing::TestTask;
    use crate::{Action, Driver, Stream, Task};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// Returns its input `gives`.
    fn driver(action: Action) -> Driver {
        Driver::new("d").action(action, async |task: Task| {
            task.log.info("begun");
            Ok(task.inputs["gives"].clone())
        })
    }

    async fn code(driver: &Driver, gives: Value) -> String {
        let task = TestTask::new("a").inputs(json!({ "gives": gives }));
        let failure = task.run(driver).await.result.expect_err("it is refused");
        format!("{failure}")
    }

    #[tokio::test]
    async fn outputs_are_judged_as_an_engine_does() {
        let any = driver(Action::new("a"));
        let long = json!({ "all": "x".repeat(8 << 20) });
        let why = "output_too_large: the outputs have 8388618 bytes; the limit `outputs_bytes` is 8388608";
        assert_eq!(code(&any, long).await, why);
        let why = "invalid_output: the outputs are not a JSON object";
        assert_eq!(code(&any, json!([1])).await, why);
    }

    #[cfg(feature = "test-schemas")]
    #[tokio::test]
    async fn an_actions_schemas_are_held_to() {
        let number = json!({ "properties": { "n": { "type": "number" } }, "required": ["n"] });
        let gives = driver(Action::new("a").outputs(number.clone()));
        let why = code(&gives, json!({ "n": "x" })).await;
        let begins =
            "invalid_output: the outputs are not what the driver says that it gives: outputs/n: ";
        assert!(why.starts_with(begins), "{why}");
        let task = TestTask::new("a").inputs(json!({ "gives": { "n": 1 } }));
        let run = task.run(&gives).await;
        assert_eq!(run.result, Ok(json!({ "n": 1 })));

        let takes = driver(Action::new("a").inputs(number));
        let run = TestTask::new("a")
            .inputs(json!({ "n": "x" }))
            .run(&takes)
            .await;
        let failure = run.result.expect_err("it is refused");
        assert_eq!(failure.code, "invalid_input");
        assert!(failure.message.contains("/with/n: "), "{failure}");
        assert!(run.lines.is_empty(), "it has begun");

        let none = driver(Action::new("a").outputs(json!({ "type": 7 })));
        let why = code(&none, json!({})).await;
        assert!(why.starts_with("invalid_schema: "), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_what_the_test_says_and_ends_with_its_time() {
        let driver = Driver::new("d").action("a", async |task: Task| {
            let left = task.deadline - std::time::Instant::now();
            let left = left <= Duration::from_secs(5) && left > Duration::from_secs(1);
            task.log.line(Stream::Stderr, task.step.clone()).await;
            task.log.info(&task.pipeline);
            task.log
                .line(Stream::Stderr, task.traceparent.clone())
                .await;
            let why = task.cancelled().await;
            Ok(json!({ "left": left, "why": *why.reason }))
        });
        let began = tokio::time::Instant::now();
        let task = TestTask::new("a")
            .pipeline("p")
            .step("s")
            .traceparent("00-1");
        let run = task.time_left(Duration::from_secs(5)).run(&driver).await;
        let expected = json!({ "left": true, "why": "its time is over" });
        assert_eq!(run.result, Ok(expected));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert_eq!(run.lines, ["s", "p", "00-1"]);
        assert_eq!(run.lines_of(Stream::Stderr), ["s", "00-1"]);
        assert_eq!(run.lines_of(Stream::Driver), ["p"]);
    }
}

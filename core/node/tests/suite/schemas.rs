//! What a driver's schemas decide at a claim and at a report (PROTOCOL P20, P27).

use crate::harness::pipeline;
use crate::support::{Closure, done, finish, open, start};
use conveyor_engine::run::{AttemptState, Decision, Fact, Failure, RunState};
use conveyor_node::driver::{Driver, Outcome, contracts};
use conveyor_node::{Adopt, Config, Node, NodeError, RunId};
use conveyor_store::Memory;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn node(driver: Arc<dyn Driver>) -> Node {
    open(Arc::new(Memory::new()), driver, Adopt::All).await
}

async fn attempts(node: &Node, run: RunId) -> Vec<(AttemptState, Option<Failure>)> {
    let events = node.reader().events(run, None, usize::MAX).await.unwrap();
    let attempts = events.into_iter().filter_map(|event| match event.decision {
        Decision::Attempt { state, failure, .. } => Some((state, failure)),
        _ => None,
    });
    attempts.collect()
}

#[tokio::test]
async fn what_is_evaluated_to_something_else_never_reaches_its_driver() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inputs = json!({
        "type": "object", "additionalProperties": false,
        "properties": { "count": { "type": "integer", "maximum": 3 } },
    });
    let driver = Closure::with_schemas(Some(inputs), None, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { done() }
    });
    let node = node(driver).await;
    let steps = r#"
    - { id: fits, driver: exec, with: { count: "${{ 1 + 2 }}" } }
    - id: not
      driver: exec
      with: { count: "${{ 'many' }}", "${{ 'oth' + 'er' }}": 1 }
      retry: { attempts: 3, backoff: { initial: 1ms } }
"#;
    let run = start(&node, &pipeline(steps)).await;
    let ended = finish(&node, run).await;
    assert_eq!(ended.state(), RunState::Failed);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let attempts = attempts(&node, run).await;
    let [
        (AttemptState::Succeeded, None),
        (AttemptState::Errored, Some(failure)),
    ] = &attempts[..]
    else {
        panic!("{attempts:?}");
    };
    assert_eq!(
        (&*failure.code, failure.retryable),
        ("invalid_input", Some(false))
    );
    for part in [
        "/spec/steps/1/with/count: \"many\" is not of type \"integer\"",
        "/spec/steps/1/with/other: unknown key `other`",
    ] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

#[tokio::test]
async fn an_attempt_whose_inputs_name_the_attempt_may_fit_the_next_time() {
    let inputs = json!({ "properties": { "at": { "minimum": 2 } } });
    let driver = Closure::with_schemas(Some(inputs), None, |_, _| async { done() });
    let node = node(driver).await;
    let steps = r#"
    - id: a
      driver: exec
      with: { at: "${{ attempt.number }}" }
      retry: { attempts: 2, backoff: { initial: 1ms } }
"#;
    let run = start(&node, &pipeline(steps)).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let states: Vec<_> = attempts(&node, run).await;
    let states: Vec<_> = states.into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, [AttemptState::Errored, AttemptState::Succeeded]);
}

#[tokio::test]
async fn outputs_that_break_the_schema_are_an_error_and_tried_again() {
    let outputs = json!({
        "type": "object", "required": ["sha"], "properties": { "sha": { "type": "string" } },
    });
    let driver = Closure::with_schemas(None, Some(outputs), |task, _| async move {
        Outcome::Succeeded(match task.attempt {
            1 => json!({ "sha": 7 }),
            2 => json!({}),
            _ => json!({ "sha": "abc" }),
        })
    });
    let node = node(driver).await;
    let steps = r#"
    - id: a
      driver: exec
      retry: { attempts: 3, on: [error], backoff: { initial: 1ms } }
"#;
    let run = start(&node, &pipeline(steps)).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let attempts = attempts(&node, run).await;
    let told: Vec<_> = attempts
        .iter()
        .map(|(state, failure)| (*state, failure.as_ref().map(|failure| &*failure.code)))
        .collect();
    let errored = (AttemptState::Errored, Some("invalid_output"));
    assert_eq!(told, [errored, errored, (AttemptState::Succeeded, None)]);
    let message = &attempts[0].1.as_ref().unwrap().message;
    assert!(
        message.contains("outputs/sha: 7 is not of type"),
        "{message}"
    );
}

#[tokio::test]
async fn a_claim_names_the_digest_of_the_schemas() {
    let driver = Closure::with_schemas(Some(json!({ "type": "object" })), None, |_, _| async {
        done()
    });
    let known = contracts(&[Arc::clone(&driver)]).unwrap();
    let node = node(driver).await;
    let run = start(&node, &pipeline("    - { id: a, driver: exec }\n")).await;
    finish(&node, run).await;
    let records = node.reader().records(run, 0, usize::MAX).await.unwrap();
    let claimed = records.iter().flat_map(|record| &record.entries);
    let claimed = claimed.filter_map(|entry| match &entry.fact {
        Fact::Claimed(claim) => Some((&*claim.version, claim.schema)),
        _ => None,
    });
    let digest = known.get("exec").unwrap().digest;
    assert_eq!(claimed.collect::<Vec<_>>(), [("1.0.0", Some(digest))]);
    let other = Closure::driver(|_, _| async { done() });
    let other = contracts(&[other]).unwrap();
    assert_ne!(other.get("exec").unwrap().digest, digest);
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_refused_with_its_action() {
    let driver = Closure::with_schemas(Some(json!({ "type": "text" })), None, |_, _| async {
        done()
    });
    let runtime = tokio::runtime::Handle::current();
    let config = Config::new(Arc::new(Memory::new()), vec![driver], runtime);
    let Err(NodeError::Invalid(message)) = Node::open(config).await else {
        panic!("the schema was accepted");
    };
    assert!(
        message
            .starts_with("the schema of the inputs of `exec`, action `run`, cannot be used: /type"),
        "{message}"
    );
}

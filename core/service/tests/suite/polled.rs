//! Polls: what each takes for its answer.

use crate::logs::Setup;
use crate::support::{Calls, Hand};
use crate::{get, start};
use conveyor_node::owner::UNANSWERED;
use conveyor_proto::v1;
use conveyor_service::ControlHandlers;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SPEC: &str = "{steps: [{id: use, driver: raw}]}";

/// How the step of a run is.
async fn state(handlers: &ControlHandlers, run: &str) -> v1::StepState {
    let request = v1::GetRunRequest {
        run: run.to_owned(),
        ..v1::GetRunRequest::default()
    };
    let told = get(handlers, request).await.expect("a run");
    told.steps
        .first()
        .map_or_else(Default::default, v1::Step::state)
}

#[tokio::test]
async fn a_task_that_comes_again_has_the_place_of_the_answer_that_it_comes_with() {
    let clock = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
    let handlers = Setup {
        clock: Arc::clone(&clock) as _,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let driver = Calls::register(handlers.node(), 4).await;
    start(&handlers, SPEC).await;
    // The answer is lost, and a heartbeat does not name the task.
    let lost = driver.poll().await;
    clock.0.fetch_add(UNANSWERED.0, Ordering::SeqCst);
    driver.beat(Vec::new()).await;
    let other = start(&handlers, SPEC).await;
    while state(&handlers, &other).await != v1::StepState::Queued {
        tokio::task::yield_now().await;
    }
    let again = driver.poll().await;
    assert_eq!(again.token, lost.token);
    assert_eq!(
        state(&handlers, &other).await,
        v1::StepState::Queued,
        "nobody was told of it"
    );
    driver.accept(&again).await;
    assert_ne!(driver.poll().await.token, lost.token);
}

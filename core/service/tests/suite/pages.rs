//! A run told in pages.

use crate::{get, handlers, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use tonic::Request;

/// Fifty instances that end at once, and a step that waits for an hour.
const FIFTY: &str = "{steps: [{id: many, foreach: {items: '${{ lists.range(50) }}'}, \
     transform: {n: '${{ item }}'}}, {id: pause, wait: {duration: 1h}}]}";

/// A page of seven instances.
fn seven(run: &str, page_token: String) -> v1::GetRunRequest {
    v1::GetRunRequest {
        run: run.to_owned(),
        page_size: 7,
        page_token,
        ..Default::default()
    }
}

/// Every page of a reading. `between` is called after the first.
async fn read(
    handlers: &ControlHandlers,
    run: &str,
    between: impl AsyncFn(),
) -> Vec<v1::GetRunResponse> {
    let mut pages = vec![
        get(handlers, seven(run, String::new()))
            .await
            .expect("a page"),
    ];
    between().await;
    while let Some(token) = pages.last().map(|page| page.next_page_token.clone())
        && !token.is_empty()
    {
        pages.push(get(handlers, seven(run, token)).await.expect("a page"));
    }
    pages
}

/// The run reaches its wait.
async fn waits(handlers: &ControlHandlers, run: &str) {
    let mut follower = handlers.reader().follow(run.parse_id());
    loop {
        follower.poll().await.expect("events");
        let folded = follower.run().expect("a run");
        if folded.step(1).state == conveyor_engine::run::StepState::Waiting {
            return;
        }
        follower.changed().await;
    }
}

trait ParseId {
    fn parse_id(&self) -> conveyor_node::RunId;
}

impl ParseId for str {
    fn parse_id(&self) -> conveyor_node::RunId {
        conveyor_node::RunId::parse(self).expect("a run's id")
    }
}

#[tokio::test]
async fn pages_hold_every_instance_once_and_show_one_moment() {
    let handlers = handlers().await;
    let run = start(&handlers, FIFTY).await;
    waits(&handlers, &run).await;
    let cancel = async || {
        let stop = v1::StopRunRequest {
            run: run.clone(),
            kind: v1::StopKind::Cancel.into(),
            actor: "tester".to_owned(),
            ..Default::default()
        };
        handlers.stop_run(Request::new(stop)).await.expect("a stop");
    };
    let pages = read(&handlers, &run, cancel).await;
    assert_eq!(pages.len(), 8, "51 instances, seven on a page");
    let told = |page: &v1::GetRunResponse| page.run.as_ref().map(|run| (run.state, run.sequence));
    assert!(pages.iter().all(|page| told(page) == told(&pages[0])));
    let instances: Vec<u32> = pages
        .iter()
        .flat_map(|page| &page.steps)
        .filter(|step| step.id == "many")
        .flat_map(|step| step.instances.iter().map(|instance| instance.index))
        .collect();
    assert_eq!(instances, (0..50).collect::<Vec<_>>());
    let last = pages[7].steps.last().expect("a step");
    assert_eq!((&*last.id, last.state()), ("pause", v1::StepState::Waiting));
    let pages = read(&handlers, &run, async || {}).await;
    let last = pages[7].steps.last().expect("a step");
    assert_eq!(
        last.state(),
        v1::StepState::Cancelled,
        "a new reading is of now"
    );
}

#[tokio::test]
async fn a_page_is_told_again_to_who_lost_it_and_two_may_read_at_once() {
    let handlers = handlers().await;
    let run = start(&handlers, FIFTY).await;
    waits(&handlers, &run).await;
    let first = get(&handlers, seven(&run, String::new()))
        .await
        .expect("a page");
    let token = || first.next_page_token.clone();
    let second = get(&handlers, seven(&run, token())).await.expect("a page");
    let again = get(&handlers, seven(&run, token())).await.expect("a page");
    assert_eq!(second, again);
}

#[tokio::test]
async fn a_paused_step_says_whose_pause_it_waits_for() {
    let handlers = handlers().await;
    let spec = "{steps: [{id: a, transform: {x: 1}}, {id: pause, wait: {duration: 1h}}]}";
    let run = start(&handlers, spec).await;
    waits(&handlers, &run).await;
    let asked = v1::PauseRunRequest {
        run: run.clone(),
        actor: "ada".to_owned(),
        reason: "lunch".to_owned(),
    };
    handlers
        .pause_run(Request::new(asked))
        .await
        .expect("it is paused");
    let answer = get(
        &handlers,
        v1::GetRunRequest {
            run,
            ..v1::GetRunRequest::default()
        },
    );
    let step = &answer.await.expect("there it is").steps[1];
    let waits = [&step.waiting_for[0], &step.instances[0].waiting_for[0]];
    for wait in waits {
        assert_eq!(wait.message, "the end of the pause by ada");
        let resume = v1::WaitingForResume {
            actor: "ada".to_owned(),
        };
        assert_eq!(wait.what, Some(v1::waiting_for::What::Resume(resume)));
    }
}

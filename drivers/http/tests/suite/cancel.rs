use crate::server::Server;
use crate::support::local;
use conveyor_sdk::testing::{TestCancel, TestTask};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_cancel_closes_the_connection_at_once() {
    let cancel = TestCancel::new();
    let asked = cancel.clone();
    let mut server = Server::start(move |_| {
        asked.cancel();
        Vec::new()
    })
    .await;
    let with = json!({"url": server.url});
    let task = TestTask::new("request").inputs(with);
    let task = task.grace(Duration::from_secs(3600)).cancel_with(&cancel);
    let failure = task
        .run(&local())
        .await
        .result
        .expect_err("it was told to stop");
    assert_eq!(failure.code, "cancelled");
    server.gone.recv().await.expect("the connection is closed");
}

//! One helper per verb.

use conveyor_driver_http::{Policy, Trust, driver};
use conveyor_sdk::testing::{TestRun, TestTask};
use conveyor_sdk::{Driver, Failure};
use serde_json::Value;

/// The driver that may connect to this machine.
pub(crate) fn local() -> Driver {
    let policy = Policy::default().allow_net("127.0.0.0/8").expect("a range");
    driver(policy, Trust::default()).expect("a driver")
}

/// The driver as it is started without options.
pub(crate) fn closed() -> Driver {
    driver(Policy::default(), Trust::default()).expect("a driver")
}

/// Asks, as the driver that may connect to this machine.
pub(crate) async fn ask(with: Value) -> TestRun {
    TestTask::new("request").inputs(with).run(&local()).await
}

pub(crate) async fn outputs(with: Value) -> Value {
    ask(with).await.result.expect("a success")
}

pub(crate) async fn failure(with: Value) -> Failure {
    ask(with).await.result.expect_err("a failure")
}

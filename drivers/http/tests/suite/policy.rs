//! Addresses that are not public are not connected to, however they are named.

use crate::server::{Server, answer};
use crate::support::closed;
use conveyor_driver_http::{Policy, Trust, driver};
use conveyor_sdk::Failure;
use conveyor_sdk::testing::TestTask;
use serde_json::{Value, json};

async fn refused(url: &str) -> Failure {
    let task = TestTask::new("request").inputs(json!({"url": url, "timeout": "10s"}));
    let failure = task.run(&closed()).await.result.expect_err("refused");
    assert_eq!(failure.code, "address_refused", "{url}: {failure}");
    assert_eq!(failure.retryable, Some(false), "{url}");
    failure
}

async fn asked(policy: Policy, url: &str) -> Result<Value, Failure> {
    let driver = driver(policy, Trust::default()).expect("a driver");
    let task = TestTask::new("request").inputs(json!({"url": url}));
    task.run(&driver).await.result
}

#[tokio::test]
async fn loopback_is_refused_by_address_and_by_name() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let port = server.port;
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        refused(&format!("http://{host}:{port}/")).await;
    }
    assert_eq!(server.asked(), [""; 0], "nothing was sent");
}

#[tokio::test]
async fn loopback_is_refused_however_its_number_is_written() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let port = server.port;
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1"] {
        let task = TestTask::new("request");
        let task = task.inputs(json!({"url": format!("http://{host}:{port}/")}));
        let failure = task.run(&closed()).await.result.expect_err("refused");
        // A resolver that does not know the form finds no address.
        let code = failure.code.as_str();
        assert!(
            ["address_refused", "no_such_host"].contains(&code),
            "{host}: {failure}"
        );
    }
    assert_eq!(server.asked(), [""; 0], "nothing was sent");
}

#[tokio::test]
async fn link_local_and_metadata_addresses_are_refused() {
    refused("http://169.254.169.254/latest/meta-data/").await;
    refused("http://[fe80::1]/").await;
    refused("http://[fd00:ec2::254]/").await;
    refused("http://100.100.100.200/").await;
}

#[tokio::test]
async fn private_and_shared_networks_are_refused() {
    for address in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "[fc00::1]",
    ] {
        refused(&format!("http://{address}/")).await;
    }
}

#[tokio::test]
async fn multicast_and_reserved_addresses_are_refused() {
    for address in ["224.0.0.1", "255.255.255.255", "240.0.0.1", "[ff02::1]"] {
        refused(&format!("http://{address}/")).await;
    }
}

#[tokio::test]
async fn a_refusal_says_what_would_allow_it() {
    let failure = refused("http://10.0.0.1/").await;
    for part in [
        "a private address",
        "--allow-host 10.0.0.1",
        "--allow-net 10.0.0.1/32",
    ] {
        assert!(failure.message.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn a_host_and_a_network_are_allowed_by_name() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let (host, port) = ("localhost", server.port);
    let by_name = Policy::default().allow_host(&format!("{host}:{port}"));
    let by_net = Policy::default().allow_net("127.0.0.1");
    for policy in [by_name, by_net] {
        let policy = policy.expect("it is one");
        let answered = asked(policy, &format!("http://{host}:{port}/")).await;
        assert_eq!(answered.expect("it is allowed")["status"], 200);
    }
    let other = Policy::default()
        .allow_host(&format!("{host}:1"))
        .expect("one");
    let refused = asked(other, &format!("http://{host}:{port}/")).await;
    assert_eq!(refused.expect_err("another port").code, "address_refused");
}

#[tokio::test]
async fn each_redirect_is_checked_again() {
    let server = Server::start(|_| answer("302 Found", "location: http://10.0.0.1/\r\n", "")).await;
    let policy = Policy::default().allow_net("127.0.0.0/8").expect("a range");
    let refused = asked(policy, &server.url).await.expect_err("refused");
    assert_eq!(refused.code, "address_refused");
}

//! Bytes that are no message are the fault of who sent them.

use crate::raw::{AsIs, talk};
use crate::site::Site;
use conveyor_proto::v1;
use prost::Message as _;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

/// What a call says of a message of these bytes.
async fn told(url: &str, path: &'static str, bytes: &[u8]) -> Status {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("an address");
    let channel = endpoint.connect().await.expect("the server answers");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the server answers");
    let path = PathAndQuery::from_static(path);
    let answer = client.unary(Request::new(bytes.to_vec()), path, AsIs).await;
    answer.map(|_| ()).expect_err("it is no message")
}

#[test]
fn bytes_that_do_not_decode_are_an_invalid_argument_of_every_call() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    talk(async {
        for path in [
            "/conveyor.v1.ControlService/ListRuns",
            "/conveyor.v1.ControlService/WatchRunEvents",
            "/conveyor.v1.DriverService/Poll",
        ] {
            // A text that ends before its length, and a field without a number.
            for bytes in [
                &b"\x0a\x7fx"[..],
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            ] {
                let status = told(&site.url, path, bytes).await;
                assert_eq!(status.code(), Code::InvalidArgument, "{path}: {status}");
                let words = "the request is no message of this call";
                assert!(status.message().starts_with(words), "{path}: {status}");
                let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
                assert_eq!(refusal.diagnostics[0].message, status.message(), "{path}");
            }
        }
    });
}

//! What tools ask a server about its contract.

use crate::site::{PATIENCE, Site};
use conveyor_proto::DESCRIPTORS;
use prost::Message as _;
use prost_reflect::prost_types::{FileDescriptorProto, MethodDescriptorProto};
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use std::collections::BTreeSet;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Told;

/// Asks one question.
fn ask(url: &str, question: Ask) -> Result<Told, Status> {
    let answer = async {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("an address");
        let channel = endpoint.connect().await.expect("the server answers");
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let mut client = ServerReflectionClient::new(channel);
        let answers = client.server_reflection_info(tokio_stream::once(question));
        let answer = answers.await?.into_inner().message().await?;
        let answer = answer.expect("it is answered").message_response;
        Ok(answer.expect("it says something"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread");
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    answer.expect("it is answered in time")
}

/// The files that answer a question.
fn files(url: &str, question: Ask) -> Vec<Vec<u8>> {
    match ask(url, question) {
        Ok(Told::FileDescriptorResponse(files)) => files.file_descriptor_proto,
        told => panic!("no files: {told:?}"),
    }
}

/// These files and all that they rest on, as a tool gathers them.
fn whole(url: &str, files: Vec<Vec<u8>>) -> DescriptorPool {
    let (mut have, mut names, mut open) = (Vec::new(), BTreeSet::new(), files);
    while let Some(bytes) = open.pop() {
        let file = FileDescriptorProto::decode(&bytes[..]).expect("a file");
        for name in &file.dependency {
            if names.insert(name.clone()) {
                open.extend(self::files(url, Ask::FileByFilename(name.clone())));
            }
        }
        have.push(file);
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(have).expect("they fit");
    pool
}

fn methods(service: &ServiceDescriptor) -> Vec<MethodDescriptorProto> {
    let all = service.methods();
    all.map(|method| method.method_descriptor_proto().clone())
        .collect()
}

#[test]
fn a_tool_that_has_no_protos_reads_the_whole_contract_from_the_server() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let listed = match ask(&site.url, Ask::ListServices(String::new())) {
        Ok(Told::ListServicesResponse(listed)) => listed.service,
        told => panic!("no list: {told:?}"),
    };
    let listed: BTreeSet<_> = listed.into_iter().map(|one| one.name).collect();
    let own = ["conveyor.v1.ControlService", "conveyor.v1.DriverService"];
    let all = own.into_iter().chain(["grpc.health.v1.Health"]);
    for name in all {
        assert!(listed.contains(name), "{name}: {listed:?}");
    }
    // From the files that it gives, the services are those of the contract, method by method.
    let contract = DescriptorPool::decode(DESCRIPTORS).expect("a pool");
    for name in own {
        let first = files(&site.url, Ask::FileContainingSymbol(name.to_owned()));
        let given = whole(&site.url, first);
        let service = given.get_service_by_name(name).expect("it is in its file");
        let known = contract.get_service_by_name(name).expect("it is known");
        assert_eq!(methods(&service), methods(&known), "{name}");
        assert!(service.methods().len() > 8, "{name}");
    }
    let nothing = Ask::FileContainingSymbol("conveyor.v1.Nothing".to_owned());
    let refused = ask(&site.url, nothing).expect_err("there is no such thing");
    assert_eq!(refused.code(), Code::NotFound);
}

#[test]
fn older_tools_are_answered_by_the_older_name() {
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_response::MessageResponse;
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let url = site.url.clone();
    let listed = async move {
        let endpoint = Endpoint::from_shared(url).expect("an address");
        let channel = endpoint.connect().await.expect("the server answers");
        let question = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel);
        let answers = client.server_reflection_info(tokio_stream::once(question));
        let mut answers = answers.await.expect("it is served").into_inner();
        let answer = answers.message().await.expect("it is answered");
        let answer = answer.expect("it is answered");
        match answer.message_response {
            Some(MessageResponse::ListServicesResponse(listed)) => listed.service,
            told => panic!("no list: {told:?}"),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread");
    let listed = runtime.block_on(async { tokio::time::timeout(PATIENCE, listed).await });
    let listed = listed.expect("it is answered in time");
    let own = "conveyor.v1.DriverService";
    assert!(
        listed.iter().any(|service| service.name == own),
        "{listed:?}"
    );
}

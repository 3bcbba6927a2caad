//! Reaching the engine.

use crate::breaks::Breaks;
use crate::rest::Carrier;
use crate::v1::Launch;
use conveyor_proto::contract::MESSAGE_BYTES;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// How long the engine has to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is asked whether anybody is there, and broken where nobody answers within as long.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The driver's side of the service.
pub(crate) type Client = DriverServiceClient<InterceptedService<Carrier, Bearer>>;

/// Shows the access token with each call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Connects once.
///
/// # Errors
/// `INVALID_ARGUMENT` where the address, the certificate or the token cannot be; `UNAVAILABLE` where nobody
/// is there.
pub(crate) async fn connect(launch: &Launch, breaks: Breaks) -> Result<Client, Status> {
    let channel = match launch.url.strip_prefix("unix:") {
        Some(path) => unix(path.strip_prefix("//").unwrap_or(path)).await?,
        None => tcp(launch).await?,
    };
    let bearer = match launch.token.as_str() {
        "" => None,
        token => {
            let value = format!("Bearer {token}").parse();
            Some(value.map_err(|_| {
                Status::invalid_argument("the access token has characters that none has")
            })?)
        }
    };
    let carrier = match launch.transport.as_str() {
        "rest" => Carrier::json(channel, breaks),
        _ => Carrier::grpc(channel),
    };
    let client = DriverServiceClient::with_interceptor(carrier, Bearer(bearer));
    Ok(client
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES))
}

/// Whether a status of any call ends the driver: who it is, or what it may, will not be other the next time.
pub(crate) fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied
    )
}

async fn tcp(launch: &Launch) -> Result<Channel, Status> {
    let no = |why: String| Status::invalid_argument(format!("{}: {why}", launch.url));
    let endpoint =
        Endpoint::from_shared(launch.url.clone()).map_err(|error| no(error.to_string()))?;
    let mut endpoint = tuned(endpoint);
    if launch.url.starts_with("https://") {
        let tls = match launch.ca.as_str() {
            "" => ClientTlsConfig::new().with_native_roots(),
            file => {
                let pem = std::fs::read(file).map_err(|error| no(format!("{file}: {error}")))?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
        };
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|error| no(error.to_string()))?;
    }
    endpoint
        .connect()
        .await
        .map_err(|error| unavailable(&launch.url, &error))
}

/// Connects to a socket, or to that of a data directory.
async fn unix(path: &str) -> Result<Channel, Status> {
    let socket = match Path::new(path).is_dir() {
        true => Path::new(path).join("control.sock"),
        false => PathBuf::from(path),
    };
    // The name is asked for by HTTP alone.
    let endpoint = tuned(Endpoint::from_static("http://conveyor.invalid"));
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move {
            tokio::net::UnixStream::connect(socket)
                .await
                .map(TokioIo::new)
        }
    });
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| unavailable(path, &error))
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

fn unavailable(address: &str, error: &dyn std::error::Error) -> Status {
    let mut text = format!("{address}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Status::unavailable(text)
}

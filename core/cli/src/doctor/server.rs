//! Whoever answers: version, readiness, drivers, runs.

use super::Finding;
use crate::args::Server;
use crate::client::{Client, no_certificate, root_cause};
use crate::render::human;
use conveyor_engine::plan::{Kind, Plan, version_satisfies};
use conveyor_engine::run::RunState;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

/// How long it has for everything that is asked.
const ANSWER: Duration = Duration::from_secs(20);
/// So many pipelines of a namespace are looked at.
const PIPELINES: usize = 1000;
/// So many drivers of a namespace are: the most of one answer.
const DRIVERS: u32 = 1000;
/// So many names are said.
const NAMED: usize = 5;
/// How far two clocks may be apart.
const APART: Duration = Duration::from_secs(5);

/// The server at an address.
pub(super) async fn at(server: &Server) -> Vec<Finding> {
    let advice = "start `conveyor serve`, or name another with --server";
    let connected = match server.credentials() {
        Ok(credentials) => conveyor_api::connect_to(&server.url, &credentials).await,
        Err(error) => Err(error),
    };
    answered(&server.url, connected, advice).await
}

/// Whoever holds a data directory.
pub(super) async fn over(path: &Path) -> Vec<Finding> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let place = format!("the socket of {}", real.display());
    let advice = "the process that holds the directory hangs, or is of another user: look at its log, or end it";
    answered(&place, conveyor_api::connect(&real).await, advice).await
}

async fn answered(
    place: &str,
    connected: io::Result<conveyor_api::Control>,
    advice: &str,
) -> Vec<Finding> {
    let control = match connected {
        Ok(control) => control,
        Err(error) => return vec![unreached(place, &error, advice)],
    };
    let mut client =
        ControlServiceClient::new(control).max_decoding_message_size(conveyor_api::MESSAGE_BYTES);
    match tokio::time::timeout(ANSWER, look(&mut client, place)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(status)) if status.source().is_some() => {
            let error = io::Error::other(status);
            let told = conveyor_sdk::tls_advice(place, &error).is_some();
            vec![match place.starts_with("https://") && !told {
                true => Finding::wrong("server", no_certificate(place), ""),
                false => unreached(place, &error, advice),
            }]
        }
        Ok(Err(status)) => {
            let said = format!("{place} says: {}", status.message());
            let advice = match status.code() {
                Code::Unauthenticated => {
                    "give a token: --token-file FILE, or the token itself in CONVEYOR_TOKEN; \
                     `conveyor tokens create` over its data directory makes one"
                }
                Code::PermissionDenied => {
                    "give a token of a wider scope, or one for all namespaces"
                }
                _ => "see the server's log",
            };
            vec![Finding::wrong("server", said, advice)]
        }
        Err(_) => {
            let said = format!("{place} does not answer within {} s", ANSWER.as_secs());
            vec![Finding::wrong("server", said, advice)]
        }
    }
}

/// Nobody is there, or nobody whom this side believes.
fn unreached(place: &str, error: &io::Error, advice: &str) -> Finding {
    match conveyor_sdk::tls_advice(place, error) {
        Some(why) => Finding::wrong("server", why, "both sides speak TLS, or neither does"),
        None => Finding::wrong(
            "server",
            format!("nobody answers at {place}: {}", root_cause(error)),
            advice,
        ),
    }
}

async fn look(client: &mut Client, place: &str) -> Result<Vec<Finding>, Status> {
    let info = client
        .get_server_info(v1::GetServerInfoRequest {})
        .await?
        .into_inner();
    let mut findings = Vec::new();
    let own = env!("CARGO_PKG_VERSION");
    let said = format!(
        "{place}: conveyor {} ({}, process {}), {}",
        info.version,
        info.role,
        info.pid,
        human::count(info.live_runs as usize, "live run")
    );
    findings.push(match info.version == own {
        true => Finding::good("server", said),
        false => Finding::doubtful(
            "server",
            said,
            format!("this program is {own}: use one of the same release"),
        ),
    });
    if !info.not_ready.is_empty() {
        let advice = "it takes no work until that is mended: see `disk`";
        findings.push(Finding::wrong("readiness", info.not_ready.clone(), advice));
    }
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    if Duration::from_millis(info.started_ms) > now + APART {
        findings.push(Finding::wrong(
            "clock",
            "the server began in the future, by this machine's clock",
            "set both clocks by NTP",
        ));
    }
    findings.push(quarantined(client).await?);
    findings.extend(drivers(client).await?);
    Ok(findings)
}

async fn quarantined(client: &mut Client) -> Result<Finding, Status> {
    const CHECK: &str = "quarantine";
    let request = v1::ListRunsRequest {
        states: vec![RunState::Quarantined.code().into()],
        page_size: 100,
        ..v1::ListRunsRequest::default()
    };
    let runs = client.list_runs(request).await?.into_inner().runs;
    let ids: Vec<_> = runs.iter().take(NAMED).map(|run| run.id.as_str()).collect();
    Ok(match runs.len() {
        0 => Finding::good(CHECK, "no run is quarantined"),
        count => Finding::wrong(
            CHECK,
            format!(
                "{count} runs do not fold and are not touched, such as {}",
                ids.join(", ")
            ),
            "`conveyor runs show RUN` says why; after an upgrade `conveyor runs release RUN` tries again",
        ),
    })
}

/// Drivers that stored pipelines name and that nobody offers.
async fn drivers(client: &mut Client) -> Result<Vec<Finding>, Status> {
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for namespace in namespaces(client).await? {
        let request = v1::ListDriversRequest {
            namespace: namespace.clone(),
            options: Some(v1::ListOptions {
                page_size: DRIVERS,
                ..v1::ListOptions::default()
            }),
        };
        let offered = client.list_drivers(request).await?.into_inner().drivers;
        for (pipeline, driver) in named(client, &namespace).await? {
            if !offered.iter().any(|offered| driver.is_served(offered)) {
                missing
                    .entry(driver.to_string())
                    .or_default()
                    .insert(format!("{namespace}/{pipeline}"));
            }
        }
    }
    if missing.is_empty() {
        return Ok(vec![Finding::good(
            "drivers",
            "all that stored pipelines name are connected",
        )]);
    }
    let each = missing.into_iter().map(|(driver, pipelines)| {
        let some: Vec<_> = pipelines.iter().take(NAMED).cloned().collect();
        Finding::wrong(
            "drivers",
            format!(
                "nobody offers the driver `{driver}`, which stored pipelines name: {}",
                some.join(", ")
            ),
            "start it: steps that need it wait",
        )
    });
    Ok(each.collect())
}

async fn namespaces(client: &mut Client) -> Result<Vec<String>, Status> {
    let mut names = Vec::new();
    let mut options = v1::ListOptions::default();
    loop {
        let request = v1::ListNamespacesRequest {
            options: Some(options.clone()),
        };
        let page = client.list_namespaces(request).await?.into_inner();
        names.extend(
            page.namespaces
                .into_iter()
                .filter_map(|one| Some(one.metadata?.name)),
        );
        options.page_token = page.next_page_token;
        if options.page_token.is_empty() {
            return Ok(names);
        }
    }
}

/// A driver as a step names it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    name: String,
    version: Option<String>,
}

impl Wanted {
    /// Whether somebody who is connected may take the step.
    fn is_served(&self, offered: &v1::Driver) -> bool {
        let fits = |session: &v1::DriverSession| {
            let wanted = self.version.as_deref();
            wanted.is_none_or(|wanted| version_satisfies(wanted, &session.version))
        };
        offered.name == self.name && offered.sessions.iter().any(fits)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// Pipelines of a namespace, with each driver that they name.
async fn named(client: &mut Client, namespace: &str) -> Result<Vec<(String, Wanted)>, Status> {
    let mut found = Vec::new();
    let mut options = v1::ListOptions::default();
    let mut looked = 0;
    loop {
        let request = v1::ListPipelinesRequest {
            namespace: namespace.to_owned(),
            options: Some(options.clone()),
        };
        let page = client.list_pipelines(request).await?.into_inner();
        for pipeline in page.pipelines {
            let name = pipeline.metadata.unwrap_or_default().name;
            let request = v1::GetPipelineRequest {
                namespace: namespace.to_owned(),
                name: name.clone(),
                digest: String::new(),
            };
            let whole = client
                .get_pipeline(request)
                .await?
                .into_inner()
                .pipeline
                .unwrap_or_default();
            found.extend(
                drivers_of(&whole.document)
                    .into_iter()
                    .map(|driver| (name.clone(), driver)),
            );
            looked += 1;
        }
        options.page_token = page.next_page_token;
        if options.page_token.is_empty() || looked >= PIPELINES {
            return Ok(found);
        }
    }
}

fn drivers_of(document: &[u8]) -> BTreeSet<Wanted> {
    // One that this release cannot compile is the server's to tell of.
    let Ok(plan) = Plan::from_canonical(document) else {
        return BTreeSet::new();
    };
    let drivers = plan.steps.iter().filter_map(|step| match &step.kind {
        Kind::Driver {
            driver, version, ..
        } => Some(Wanted {
            name: driver.to_string(),
            version: version.as_ref().map(ToString::to_string),
        }),
        _ => None,
    });
    drivers.collect()
}

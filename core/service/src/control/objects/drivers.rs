//! Drivers: what is, or was, registered, and who is connected.

use super::super::{ControlHandlers, refuse};
use super::{listing, page_token, undated};
use conveyor_engine::value::canonical_bytes;
use conveyor_node::owner::Standing;
use conveyor_node::session::{DriverRecord, Forgotten, SessionRecord};
use conveyor_proto::storage::v1::StoredDriver;
use conveyor_proto::v1;
use std::collections::BTreeMap;
use tonic::Status;

/// The namespace that is told of a driver which is published in all.
const OF_ALL: &str = "*";

fn version(stored: &StoredDriver) -> v1::DriverVersion {
    let actions = stored.actions.iter().map(|action| v1::DriverAction {
        name: action.name.clone(),
        description: action.description.clone(),
        inputs_schema: action.inputs_schema.clone(),
        outputs_schema: action.outputs_schema.clone(),
    });
    v1::DriverVersion {
        version: stored.version.clone(),
        schema_digest: stored
            .digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        actions: actions.collect(),
        first_seen_ms: stored.first_seen_ms,
    }
}

fn session(record: SessionRecord, standing: Option<&Standing>) -> v1::DriverSession {
    let stored = record.stored;
    v1::DriverSession {
        id: stored.id,
        version: stored.version,
        capacity: stored.capacity,
        held: standing.map_or(0, |standing| standing.held),
        labels: stored.labels,
        queues: stored.queues,
        connected_ms: stored.connected_ms,
        heard_ms: record.heard_ms,
        draining: record.draining,
        sdk: stored.sdk,
        instance: stored.instance,
    }
}

impl ControlHandlers {
    /// Where a request looks for drivers: a namespace, or the empty scope of those that are published in all.
    async fn scope_of(&self, namespace: &str) -> Result<String, Status> {
        match namespace {
            OF_ALL => Ok(String::new()),
            namespace => self.namespace(namespace).await,
        }
    }

    /// All that a scope may use, by name and scope: a name may be published in the namespace and in all, and
    /// its own comes last.
    async fn drivers_for(
        &self,
        own: &str,
    ) -> Result<BTreeMap<(String, String), v1::Driver>, Status> {
        let seen = |scope: &str| scope.is_empty() || scope == own;
        let mut drivers: BTreeMap<(String, String), v1::Driver> = BTreeMap::new();
        let standings = self.node.standings().await.map_err(refuse)?;
        // All drivers of this process are one session.
        let own = standings.iter().find(|(_, standing)| !standing.remote);
        let own = own.filter(|_| self.about.capacity > 0);
        let here = self.node.drivers();
        for contract in here.iter() {
            let schema = |schema: Option<&conveyor_engine::plan::Schema>| {
                schema
                    .map(|schema| canonical_bytes(&schema.json()))
                    .unwrap_or_default()
                    .into()
            };
            let actions = contract.actions.iter().map(|action| v1::DriverAction {
                name: action.name.to_string(),
                description: String::new(),
                inputs_schema: schema(action.inputs.as_ref()),
                outputs_schema: schema(action.outputs.as_ref()),
            });
            let version = v1::DriverVersion {
                version: contract.version.to_string(),
                schema_digest: contract.digest.to_string(),
                actions: actions.collect(),
                first_seen_ms: self.about.started_ms,
            };
            let session = own.map(|(id, standing)| v1::DriverSession {
                id: id.to_string(),
                version: contract.version.to_string(),
                capacity: self.about.capacity,
                held: standing.held,
                connected_ms: self.about.started_ms,
                heard_ms: self.node.now().0,
                draining: standing.draining,
                ..v1::DriverSession::default()
            });
            let driver = v1::Driver {
                name: contract.name.to_string(),
                namespace: OF_ALL.to_owned(),
                versions: vec![version],
                sessions: session.into_iter().collect(),
            };
            drivers.insert((contract.name.to_string(), String::new()), driver);
        }
        for DriverRecord { stored } in self.node.registered_drivers() {
            if !seen(&stored.scope) {
                continue;
            }
            let key = (stored.name.clone(), stored.scope.clone());
            let driver = drivers.entry(key).or_insert_with(|| v1::Driver {
                name: stored.name.clone(),
                namespace: match stored.scope.as_str() {
                    "" => OF_ALL.to_owned(),
                    scope => scope.to_owned(),
                },
                versions: Vec::new(),
                sessions: Vec::new(),
            });
            driver.versions.push(version(&stored));
        }
        for record in self.node.sessions() {
            let key = (record.stored.driver.clone(), record.stored.scope.clone());
            if let Some(driver) = drivers.get_mut(&key).filter(|_| record.connected) {
                let standing = standings.get(record.stored.id.as_str());
                driver.sessions.push(session(record, standing));
            }
        }
        for driver in drivers.values_mut() {
            let order =
                |one: &v1::DriverVersion| conveyor_engine::plan::version_order(&one.version);
            driver.versions.sort_by_key(order);
            driver.versions.reverse();
        }
        Ok(drivers)
    }

    pub(in super::super) async fn all_drivers(
        &self,
        request: v1::ListDriversRequest,
    ) -> Result<v1::ListDriversResponse, Status> {
        let scope = self.scope_of(&request.namespace).await?;
        let list = listing("drivers", &scope, request.options)?;
        undated(&list, "drivers are registered, and not made at an instant")?;
        let drivers = self.drivers_for(&scope).await?;
        let key_of = |driver: &v1::Driver| format!("{}\0{}", driver.name, driver.namespace);
        let after = |driver: &&v1::Driver| {
            list.after
                .as_ref()
                .is_none_or(|after| key_of(driver) > *after)
        };
        // A driver has the labels of its sessions: one of them has all.
        let labelled = |session: &v1::DriverSession| {
            let has = |(key, value)| session.labels.get(key) == Some(value);
            list.labels.iter().all(has)
        };
        let fits =
            |driver: &&v1::Driver| list.labels.is_empty() || driver.sessions.iter().any(labelled);
        let rest = drivers.values().filter(after).filter(fits);
        let mut rest: Vec<_> = rest.cloned().collect();
        let more = rest.len() > list.limit;
        rest.truncate(list.limit);
        let next = rest.last().filter(|_| more).map(key_of);
        Ok(v1::ListDriversResponse {
            drivers: rest,
            next_page_token: page_token("drivers", next),
        })
    }

    pub(in super::super) async fn one_driver(
        &self,
        request: v1::GetDriverRequest,
    ) -> Result<v1::GetDriverResponse, Status> {
        let scope = self.scope_of(&request.namespace).await?;
        let mut drivers = self.drivers_for(&scope).await?;
        let own = drivers.remove(&(request.name.clone(), scope));
        let found = own.or_else(|| drivers.remove(&(request.name.clone(), String::new())));
        let named = self.named(&request.namespace);
        let driver = found.ok_or_else(|| unknown(&request.name, named))?;
        Ok(v1::GetDriverResponse {
            driver: Some(driver),
        })
    }

    pub(in super::super) async fn delete_one_driver(
        &self,
        request: v1::DeleteDriverRequest,
    ) -> Result<v1::DeleteDriverResponse, Status> {
        let name = request.name.as_str();
        let records = self.node.registered_drivers();
        let there = |scope: &str| {
            let mut each = records.iter();
            each.any(|DriverRecord { stored }| stored.name == name && stored.scope == scope)
        };
        let own = self.scope_of(&request.namespace).await?;
        let scope = if there(&own) { own } else { String::new() };
        if scope.is_empty()
            && there(&scope)
            && let Some(own) = &self.caller.namespace
        {
            return Err(Status::permission_denied(format!(
                "`{}` is bound to the namespace `{own}`; the driver `{name}` is of all of them, and \
                 forgetting it takes a token that is bound to none",
                self.caller.principal
            )));
        }
        match self
            .node
            .forget_driver(name, &scope)
            .await
            .map_err(refuse)?
        {
            Forgotten::Gone(versions) => Ok(v1::DeleteDriverResponse { versions }),
            Forgotten::InUse(sessions) => Err(Status::failed_precondition(format!(
                "the driver `{name}` has sessions that are there, or may come back ({}): end its \
                 processes first",
                sessions.join(", ")
            ))),
            Forgotten::Unknown if scope.is_empty() && self.about.drivers.contains_key(name) => {
                Err(Status::failed_precondition(format!(
                    "the driver `{name}` is in the server's own process: it cannot be forgotten"
                )))
            }
            Forgotten::Unknown => Err(unknown(name, self.named(&request.namespace))),
        }
    }
}

fn unknown(name: &str, namespace: &str) -> Status {
    Status::not_found(format!(
        "no driver `{name}` is, or was, registered for the namespace `{namespace}`"
    ))
}

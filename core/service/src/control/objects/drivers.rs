//! Drivers: what is, or was, registered, and who is connected.

use super::super::ControlHandlers;
use super::{listing, page_token};
use conveyor_engine::value::canonical_bytes;
use conveyor_node::session::{DriverRecord, SessionRecord};
use conveyor_proto::storage::v1::StoredDriver;
use conveyor_proto::v1;
use std::collections::BTreeMap;
use tonic::Status;

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

fn session(record: SessionRecord) -> v1::DriverSession {
    let stored = record.stored;
    v1::DriverSession {
        id: stored.id,
        version: stored.version,
        capacity: stored.capacity,
        held: record.held,
        labels: stored.labels,
        queues: stored.queues,
        connected_ms: stored.connected_ms,
        heard_ms: record.heard_ms,
        draining: record.draining,
    }
}

impl ControlHandlers {
    pub(in super::super) async fn all_drivers(
        &self,
        request: v1::ListDriversRequest,
    ) -> Result<v1::ListDriversResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let list = listing("drivers", &namespace, request.options)?;
        let seen = |scope: &str| scope.is_empty() || scope == namespace;
        // By name and scope: a name may be published in the namespace and in all.
        let mut drivers: BTreeMap<(String, String), v1::Driver> = BTreeMap::new();
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
            let driver = v1::Driver {
                name: contract.name.to_string(),
                namespace: "*".to_owned(),
                versions: vec![version],
                sessions: Vec::new(),
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
                    "" => "*".to_owned(),
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
                driver.sessions.push(session(record));
            }
        }
        for driver in drivers.values_mut() {
            let order =
                |one: &v1::DriverVersion| conveyor_engine::plan::version_order(&one.version);
            driver.versions.sort_by_key(order);
            driver.versions.reverse();
        }
        let key_of = |driver: &v1::Driver| format!("{}\0{}", driver.name, driver.namespace);
        let after = |driver: &&v1::Driver| {
            list.after
                .as_ref()
                .is_none_or(|after| key_of(driver) > *after)
        };
        let mut rest: Vec<_> = drivers.values().filter(after).cloned().collect();
        let more = rest.len() > list.limit;
        rest.truncate(list.limit);
        let next = rest.last().filter(|_| more).map(key_of);
        Ok(v1::ListDriversResponse {
            drivers: rest,
            next_page_token: page_token("drivers", next),
        })
    }
}

//! What drivers say of themselves: the schemas of their actions.

use super::schema::Schema;
use crate::value::{Hash, Json, canonical_bytes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The drivers that are known where a document is checked, one version of each.
#[derive(Clone, Debug, Default)]
pub struct Drivers {
    by_name: BTreeMap<Arc<str>, Arc<DriverContract>>,
}

/// A driver in one version.
#[derive(Clone, Debug)]
pub struct DriverContract {
    /// The word before `@` in a document.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Its actions; the first is the default one.
    pub actions: Vec<ActionContract>,
    /// SHA-256 over its actions and their schemas. A claim names it (PROTOCOL P20).
    pub digest: Hash,
}

/// One action of a driver.
#[derive(Clone, Debug)]
pub struct ActionContract {
    /// Its name.
    pub name: Arc<str>,
    /// What `with` must satisfy.
    pub inputs: Option<Schema>,
    /// What the outputs must satisfy.
    pub outputs: Option<Schema>,
}

impl Drivers {
    /// Makes a driver known; the last one of a name counts.
    pub fn insert(&mut self, driver: DriverContract) {
        self.by_name
            .insert(Arc::clone(&driver.name), Arc::new(driver));
    }

    /// Makes a driver known that others know too.
    pub fn share(&mut self, driver: Arc<DriverContract>) {
        self.by_name.insert(Arc::clone(&driver.name), driver);
    }

    /// A driver by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&DriverContract> {
        self.by_name.get(name).map(|driver| &**driver)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &DriverContract> {
        self.by_name.values().map(|driver| &**driver)
    }
}

impl DriverContract {
    /// A driver whose actions have these names and these JSON Schemas of inputs and outputs.
    ///
    /// # Errors
    /// A sentence that names the action, when one of them is no schema.
    pub fn new<'a>(
        name: &str,
        version: &str,
        actions: impl IntoIterator<Item = (&'a str, Option<&'a Json>, Option<&'a Json>)>,
    ) -> Result<DriverContract, String> {
        let mut compiled = Vec::new();
        let mut written = Vec::new();
        for (action, inputs, outputs) in actions {
            let compile = |what: &str, json: Option<&Json>| {
                json.map(Schema::compile).transpose().map_err(|reason| {
                    format!(
                        "the schema of the {what} of `{name}`, action `{action}`, cannot be used: {reason}"
                    )
                })
            };
            compiled.push(ActionContract {
                name: action.into(),
                inputs: compile("inputs", inputs)?,
                outputs: compile("outputs", outputs)?,
            });
            written.push(serde_json::json!({
                "name": action, "inputs": inputs, "outputs": outputs,
            }));
        }
        Ok(DriverContract {
            name: name.into(),
            version: version.into(),
            actions: compiled,
            digest: Hash::of(&canonical_bytes(&Json::Array(written))),
        })
    }

    /// An action by its name; without one, the default action.
    #[must_use]
    pub fn action(&self, name: Option<&str>) -> Option<&ActionContract> {
        match name {
            None => self.actions.first(),
            Some(name) => self.actions.iter().find(|action| *action.name == *name),
        }
    }
}

impl ActionContract {
    /// The outputs that there can be, where the schema says that there are no others.
    #[must_use]
    pub fn only_outputs(&self) -> Option<Vec<&str>> {
        self.outputs.as_ref()?.only_properties()
    }
}

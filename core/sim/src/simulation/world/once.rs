//! Each change of a Resource starts what it is to start, once. What became of Resources, the disk has
//! noted; what that starts, the pipelines of the seed say a second time (`site.rs`).

use super::super::disk::Step;
use super::super::site::{self, DEFINITION, NAMESPACE};
use super::{Check, World};
use conveyor_engine::value::{Hash, Json, Value};
use conveyor_node::{RunId, keys, resources};
use conveyor_store::{Direction, KeyRange, Store as _};
use std::collections::{BTreeMap, BTreeSet};

/// What starts a run: a revision, its trigger, the Resource, its version, what became of it.
type Cause = (Hash, String, String, u64, String);

impl World {
    /// Whether changes have runs left that nobody looks after: then somebody does so within a minute.
    pub(super) fn left_alone(&mut self) -> Result<bool, String> {
        let left = resources::left(&self.disk.store).map_err(|error| error.to_string())?;
        if left.is_empty() {
            return Ok(false);
        }
        self.counts
            .fault("a change waited for who looks each minute");
        self.look_for_left(60_000);
        Ok(true)
    }

    pub(super) fn check_once(&mut self) -> Check {
        if !self.disk.resources {
            return Ok(());
        }
        let steps = self.disk.happened();
        let numbers = self.check_versions(&steps)?;
        let mut expected = BTreeSet::new();
        for step in &steps {
            self.counts.fault(match (step.before, step.after) {
                (None, _) => "a Resource was made",
                (_, Some(_)) => "a Resource was changed",
                (_, None) => "a Resource was deleted",
            });
            let (event, version) = happened(step)?;
            let n = numbers.get(&(step.resource.clone(), version));
            let n = *n.ok_or_else(|| format!("{}: version {version} is gone", step.resource))?;
            for digest in &step.pipelines {
                let revision = site::by_digest(digest).ok_or("a pipeline is another")?;
                for id in revision.started_by(&step.resource, event, n) {
                    let (id, resource) = (id.to_owned(), step.resource.clone());
                    expected.insert((*digest, id, resource, version, event.to_owned()));
                }
            }
        }
        let mut found: BTreeMap<Cause, RunId> = BTreeMap::new();
        for run in self.all_runs()? {
            let Some(cause) = self.cause(run, &numbers)? else {
                continue;
            };
            if !expected.contains(&cause) {
                return Err(format!("{run} was started by what never was: {cause:?}"));
            }
            if let Some(other) = found.insert(cause.clone(), run) {
                return Err(format!("{run} and {other} were both started by {cause:?}"));
            }
        }
        match expected.iter().find(|cause| !found.contains_key(cause)) {
            Some(cause) => Err(format!("no run was started by {cause:?}")),
            None => Ok(()),
        }
    }

    /// Versions follow each other, none is gone, and each request made one. Gives their numbers.
    fn check_versions(&self, steps: &[Step]) -> Result<BTreeMap<(String, u64), u64>, String> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        let mut made: BTreeMap<u64, u32> = BTreeMap::new();
        for step in steps {
            let Some(version) = step.after else { continue };
            let before = last.insert(&step.resource, version).unwrap_or_default();
            if version != before + 1 {
                return Err(format!(
                    "version {version} of {} follows version {before}",
                    step.resource
                ));
            }
            let object = resources::resource_key(DEFINITION, &step.resource);
            let stored = resources::version(&self.disk.store, NAMESPACE, &object, version);
            let stored = stored.map_err(|error| error.to_string())?;
            let spec = stored.map(|stored| serde_json::from_slice::<Json>(&stored.spec));
            let n = spec
                .and_then(Result::ok)
                .and_then(|spec| spec["n"].as_u64());
            let n = n.ok_or_else(|| format!("version {version} of {} is gone", step.resource))?;
            numbers.insert((step.resource.clone(), version), n);
            *made.entry(n).or_default() += 1;
        }
        for n in self.ledger.applied.keys() {
            let times = made.get(n).copied().unwrap_or_default();
            let keyed = self.ledger.answers.contains_key(&format!("key-{n}"));
            if times == 0 || keyed && times > 1 {
                return Err(format!("the request {n} made {times} versions"));
            }
        }
        Ok(numbers)
    }

    fn all_runs(&self) -> Result<Vec<RunId>, String> {
        let mut runs = Vec::new();
        let mut rest = Some(KeyRange::prefix(keys::summaries()));
        while let Some(range) = rest {
            let page = self.disk.store.scan(&range, Direction::Forward, 1_000);
            let page = page.map_err(|error| error.to_string())?;
            runs.extend(page.entries.iter().filter_map(|(key, _)| keys::run_of(key)));
            rest = page.rest(&range, Direction::Forward);
        }
        Ok(runs)
    }

    /// What started a run, as it says itself; `None` where somebody did.
    fn cause(
        &mut self,
        run: RunId,
        numbers: &BTreeMap<(String, u64), u64>,
    ) -> Result<Option<Cause>, String> {
        let durable = self.durable(run)?;
        let json = |value: Option<&Value>| match value {
            Some(Value::Inline(text)) => serde_json::from_slice::<Json>(text).ok(),
            _ => None,
        };
        let (Some(event), Some(resource)) =
            (json(durable.run.event()), json(durable.run.resource()))
        else {
            return Ok(None);
        };
        if !self.ledger.runs.contains(&run) {
            return Err(format!("{run} was started, and nobody knows"));
        }
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let version = event["version"].as_u64().unwrap_or_default();
        let name = text(&resource["name"]);
        let n = numbers.get(&(name.clone(), version)).copied();
        let inputs = json(Some(durable.run.inputs())).unwrap_or_default();
        let given = inputs["n"].as_u64();
        let by = text(&event["trigger"]);
        if resource["version"].as_u64() != Some(version)
            || resource["spec"]["n"].as_u64() != n
            || given != n.filter(|_| !by.is_empty())
        {
            return Err(format!(
                "{run} was given {resource} and {inputs}, where version {version} has {n:?}"
            ));
        }
        let digest = durable.run.plan().digest;
        Ok(Some((digest, by, name, version, text(&event["type"]))))
    }
}

/// What became of a Resource, and the version that it is about.
fn happened(step: &Step) -> Result<(&'static str, u64), String> {
    match (step.before, step.after) {
        (None, Some(version)) => Ok(("created", version)),
        (Some(_), Some(version)) => Ok(("updated", version)),
        (Some(version), None) => Ok(("deleted", version)),
        (None, None) => Err(format!("{} changed from nothing to nothing", step.resource)),
    }
}

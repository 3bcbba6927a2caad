//! Values of secrets: found when a task is handed to its driver, kept nowhere.

use crate::driver::Outcome;
use crate::node::judge::{self, failure};
use crate::owner::ValueTexts;
use crate::workers::Workers;
use bytes::Bytes;
use conveyor_engine::plan::{Kind, Plan, SecretProvider, SecretSource, StepIndex};
use conveyor_engine::planted;
use conveyor_engine::run::{EndedAttempt, Failure};
use conveyor_mask::Mask;
use rustix::fs::{FileType, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The most that the secrets of a step have together, in bytes: 64 KiB. Keys and certificates have a
/// few; what is looked for in every line of a log is not to be long.
pub const SECRET_BYTES: usize = 64 << 10;

/// Variables of that beginning are the engine's own, and never a step's.
const OWN: &str = "CONVEYOR_";
/// So many masks are kept ready: instances of a step share theirs.
const MASKS: usize = 64;

/// How a program finds a secret itself; else a sentence that says why there is none.
type Find = dyn Fn(&SecretSource) -> Result<Vec<u8>, String> + Send + Sync;

/// Where the values of secrets are found. By default nowhere.
#[derive(Default)]
pub struct Secrets {
    program: Option<Box<Find>>,
    directory: Option<PathBuf>,
    env_prefix: String,
    masks: Mutex<HashMap<[u8; 32], Mask>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("directory", &self.directory)
            .field("env_prefix", &self.env_prefix)
            .finish_non_exhaustive()
    }
}

/// Values by the name that the step gives them. What it shows of itself is the names.
#[derive(Clone, Default)]
pub struct SecretValues(BTreeMap<Arc<str>, Bytes>);

impl SecretValues {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Bytes)> {
        self.0.iter()
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The secrets of a task.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What its driver is given.
    pub values: SecretValues,
    /// What of the task is kept goes through it.
    pub mask: Mask,
}

/// How an attempt ended, for its fact: without the secrets that it had. Texts of values that are too long
/// for a record go into `values`.
pub fn without_secrets(
    mask: &Mask,
    outcome: Outcome,
    output_bytes: u64,
    values: &mut ValueTexts,
) -> EndedAttempt {
    judge::ended(None, mask, outcome, output_bytes, values)
}

/// A secret of a step: the name that its driver sees, the pipeline's, and where it is found.
type Wanted = (Arc<str>, Arc<str>, Option<SecretSource>);

fn wanted(plan: &Plan, step: StepIndex) -> Vec<Wanted> {
    let kind = plan.steps.get(step as usize).map(|step| &step.kind);
    let Some(Kind::Driver { secrets, .. }) = kind else {
        return Vec::new();
    };
    let each = secrets.iter();
    each.map(|(given, name)| (given.clone(), name.clone(), plan.secrets.get(name).cloned()))
        .collect()
}

impl Secrets {
    /// `directory`: where the files of `file:NAME` lie; `None` for no such secrets. `env_prefix`: what the
    /// variables of `env:NAME` begin with; empty for no such secrets.
    #[must_use]
    pub fn new(directory: Option<PathBuf>, env_prefix: impl Into<String>) -> Secrets {
        Secrets {
            program: None,
            directory,
            env_prefix: env_prefix.into(),
            masks: Mutex::default(),
        }
    }

    /// Those of a program that finds them itself, whatever provider a document names.
    #[must_use]
    pub fn found_by(
        find: impl Fn(&SecretSource) -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Secrets {
        Secrets {
            program: Some(Box::new(find)),
            ..Secrets::default()
        }
    }

    /// The secrets of a step, as they are now. Blocks.
    ///
    /// # Errors
    /// Code `secret_unavailable`, naming the secret and where it was looked for.
    pub fn of_step(&self, plan: &Plan, step: StepIndex) -> Result<Resolved, Failure> {
        let wanted = wanted(plan, step);
        if wanted.is_empty() {
            return Ok(Resolved {
                values: SecretValues::default(),
                mask: Mask::default(),
            });
        }
        self.find(&wanted)
    }

    /// The secrets of a step, as they are now, looked up on one of the workers.
    ///
    /// # Errors
    /// Code `secret_unavailable`, naming the secret and where it was looked for.
    pub(crate) async fn resolve(
        self: &Arc<Secrets>,
        workers: &Workers,
        plan: &Plan,
        step: StepIndex,
    ) -> Result<Resolved, Failure> {
        let wanted = wanted(plan, step);
        if wanted.is_empty() {
            return self.of_step(plan, step);
        }
        let secrets = Arc::clone(self);
        let found = workers.run(move || secrets.find(&wanted)).await;
        found.unwrap_or_else(|| {
            let message = "looking for the step's secrets panicked".to_owned();
            Err(failure("secret_unavailable", message, None))
        })
    }

    fn find(&self, wanted: &[Wanted]) -> Result<Resolved, Failure> {
        let mut found: BTreeMap<&Arc<str>, Bytes> = BTreeMap::new();
        let (mut values, mut bytes) = (BTreeMap::new(), 0);
        for (given, name, source) in wanted {
            let unavailable = |place: &str, why: String| {
                let message = format!("the secret `{name}` ({place}) is not available: {why}");
                failure("secret_unavailable", message, None)
            };
            let source = source.as_ref().ok_or_else(|| {
                unavailable("nowhere", "the pipeline does not name it".to_owned())
            })?;
            let value = match found.get(name) {
                Some(value) => value.clone(),
                None => {
                    let value = self
                        .value(source)
                        .map_err(|why| unavailable(&source.to_string(), why))?;
                    bytes += value.len();
                    if bytes > SECRET_BYTES {
                        let why = format!(
                            "the secrets of the step have more than {SECRET_BYTES} bytes together, the limit `secret_bytes`"
                        );
                        return Err(unavailable(&source.to_string(), why));
                    }
                    found.entry(name).or_insert(Bytes::from(value)).clone()
                }
            };
            values.insert(Arc::clone(given), value);
        }
        Ok(Resolved {
            values: SecretValues(values),
            mask: self.mask(&found),
        })
    }

    fn value(&self, source: &SecretSource) -> Result<Vec<u8>, String> {
        if let Some(find) = &self.program {
            return find(source);
        }
        let key = &*source.key;
        match source.provider {
            SecretProvider::Env => {
                if key.starts_with(OWN) {
                    return Err(format!(
                        "variables that begin with {OWN} are the engine's own"
                    ));
                }
                if self.env_prefix.is_empty() {
                    return Err(
                        "no variable is given to steps here; --secrets-env says which may be"
                            .to_owned(),
                    );
                }
                if !key.starts_with(&self.env_prefix) {
                    let prefix = &self.env_prefix;
                    return Err(format!(
                        "only variables that begin with {prefix} are given to steps here (--secrets-env)"
                    ));
                }
                let value = std::env::var_os(key).ok_or("there is no such variable")?;
                Ok(value.into_vec())
            }
            SecretProvider::File => {
                let directory = self.directory.as_ref();
                let directory = directory.ok_or(
                    "there is no directory of secrets here; --secrets-dir says where it is",
                )?;
                read(directory, key)
            }
        }
    }

    fn mask(&self, found: &BTreeMap<&Arc<str>, Bytes>) -> Mask {
        if planted!(SecretsUnmasked) {
            return Mask::default();
        }
        let mut hash = Sha256::new();
        for (name, value) in found {
            for part in [name.as_bytes(), value] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        let key = hash.finalize().into();
        if let Some(mask) = self.masks().get(&key) {
            return mask.clone();
        }
        for (name, _) in found.iter().filter(|(_, value)| Mask::is_short(value)) {
            tracing::warn!(secret = %name, "a secret under 4 bytes is not masked: it would be found in everything");
        }
        let mask = Mask::new(found.iter().map(|(name, value)| (&***name, &**value)));
        let mut masks = self.masks();
        if masks.len() >= MASKS {
            masks.clear();
        }
        masks.insert(key, mask.clone());
        mask
    }

    fn masks(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Mask>> {
        self.masks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a regular file that lies in the directory itself. The line feed that editors add is no part of
/// the value.
fn read(directory: &Path, name: &str) -> Result<Vec<u8>, String> {
    // A document says so already, but a node takes no other's word for where it reads.
    if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0']) {
        return Err("it is named by one name, without a directory".to_owned());
    }
    let cannot = |error: rustix::io::Errno| match error {
        rustix::io::Errno::LOOP => "it is a symbolic link, which is not followed".to_owned(),
        rustix::io::Errno::NOENT => "there is no such file".to_owned(),
        other => format!("it cannot be read: {}", std::io::Error::from(other)),
    };
    // NONBLOCK: a pipe in its place is refused, not waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory.join(name), flags, Mode::empty()).map_err(cannot)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).map_err(cannot)?.st_mode);
    if kind != FileType::RegularFile {
        return Err("it is not a regular file".to_owned());
    }
    let mut value = Vec::new();
    let most = SECRET_BYTES as u64;
    let mut file = std::fs::File::from(file).take(most + 2);
    file.read_to_end(&mut value)
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.len() > SECRET_BYTES {
        return Err(format!(
            "it has more than {SECRET_BYTES} bytes, the limit `secret_bytes`"
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_read_where_it_lies_and_nowhere_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let inner = at("inner");
        std::fs::create_dir(&inner).expect("a directory");
        std::fs::write(at("good"), "value\n\n").expect("written");
        std::fs::write(at("outside"), "not for steps").expect("written");
        symlink(at("outside"), inner.join("link")).expect("a link");
        std::fs::create_dir(inner.join("directory")).expect("a directory");
        std::fs::write(inner.join("full"), [b'x'; SECRET_BYTES]).expect("written");
        std::fs::write(inner.join("long"), [b'x'; SECRET_BYTES + 1]).expect("written");

        assert_eq!(read(directory.path(), "good"), Ok(b"value\n".to_vec()));
        assert_eq!(
            read(&inner, "full").map(|value| value.len()),
            Ok(SECRET_BYTES)
        );
        for (name, why) in [
            ("../outside", "one name"),
            ("..", "one name"),
            ("", "one name"),
            ("link", "symbolic link"),
            ("directory", "not a regular file"),
            ("absent", "no such file"),
            ("long", "`secret_bytes`"),
        ] {
            let said = read(&inner, name).expect_err(name);
            assert!(said.contains(why), "{name}: {said}");
        }
    }

    #[test]
    fn variables_are_given_by_their_beginning_alone() {
        let source = |key: &str| SecretSource {
            provider: SecretProvider::Env,
            key: key.into(),
        };
        let none = Secrets::default();
        assert!(none.value(&source("PATH")).is_err());
        let some = Secrets::new(None, "PAT");
        assert!(some.value(&source("PATH")).is_ok());
        assert!(some.value(&source("HOME")).is_err());
        let own = Secrets::new(None, "C");
        assert!(
            own.value(&source("CONVEYOR_TOKEN"))
                .is_err_and(|why| why.contains("engine's own"))
        );
    }

    #[test]
    fn values_do_not_show_themselves() {
        let values = SecretValues([("TOKEN".into(), Bytes::from_static(b"hunter22"))].into());
        assert_eq!(format!("{values:?}"), r#"{"TOKEN"}"#);
    }
}

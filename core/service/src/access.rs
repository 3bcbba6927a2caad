//! Access tokens: who shows one is who it stands for.

use crate::caller::{Caller, Scope};
use crate::refusal;
use conveyor_engine::time::Time;
use conveyor_node::Node;
use conveyor_node::objects::Row;
use conveyor_proto::storage::v1::StoredToken;
use conveyor_proto::v1::TokenScope;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;
use tonic::Status;

/// What all tokens begin with, so that people and scanners know one when they see it.
const PREFIX: &str = "conveyor_";
/// Bytes of an id, and of a secret.
const ID: usize = 8;
const SECRET: usize = 32;
/// The longest text that is looked at.
const LONGEST: usize = 256;
/// A clock that was set back is noticed this late.
const LOOK: Duration = Duration::from_secs(60);

/// Knows tokens. Clones share everything.
#[derive(Clone)]
pub struct Access {
    node: Node,
    /// Told whenever a token is revoked.
    revoked: Arc<watch::Sender<()>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access(..)")
    }
}

/// A token that was shown, and whether it still holds.
#[derive(Clone, Debug)]
pub struct Standing {
    id: String,
    expires: Option<Time>,
    access: Access,
}

/// A new token: its id, and the text that is told once.
pub(crate) struct New {
    pub(crate) id: String,
    pub(crate) hash: [u8; 32],
    pub(crate) text: String,
}

/// One answer for whatever is wrong with a token: who guesses learns nothing.
fn refused() -> Status {
    Status::unauthenticated("the access token is not known here, or does not hold any more")
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether a token holds at an instant.
pub(crate) fn holds(expires: Option<Time>, now: Time) -> bool {
    expires.is_none_or(|expires| now < expires)
}

impl Access {
    pub(crate) fn new(node: Node) -> Access {
        Access {
            node,
            revoked: Arc::new(watch::channel(()).0),
        }
    }

    /// A token that nobody has yet.
    pub(crate) fn make() -> New {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let id: String = hex(&conveyor_node::random_bytes()[..ID]);
        let secret: String = hex(&conveyor_node::random_bytes());
        New {
            hash: hash(secret.as_bytes()),
            text: format!("{PREFIX}{id}_{secret}"),
            id,
        }
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// UNAUTHENTICATED, whatever is wrong with it; UNAVAILABLE where the store cannot be read.
    pub async fn caller(&self, text: &str) -> Result<Caller, Status> {
        let (id, secret) = parts(text).ok_or_else(refused)?;
        let row = self.node.reader().object::<StoredToken>("", id).await;
        let row = row.map_err(|error| refusal::status(&error))?;
        // What is not there takes as long as what is.
        let none = [0; 32];
        let stored = row.as_ref().map_or(&none[..], |row| &row.value.hash);
        let same = bool::from(hash(secret.as_bytes()).ct_eq(stored));
        let Some(Row { value, .. }) = row.filter(|_| same) else {
            return Err(refused());
        };
        let expires = value.expires_ms.map(Time);
        if !holds(expires, self.node.now()) {
            return Err(refused());
        }
        let scope = scope(value.scope).ok_or_else(refused)?;
        // Claims and sessions know their owner by this name: that of one namespace is none of another.
        let principal = match value.namespace.as_str() {
            "" => value.principal,
            namespace => format!("{}@{namespace}", value.principal),
        };
        Ok(Caller {
            principal: principal.into(),
            scope,
            namespace: (!value.namespace.is_empty()).then(|| value.namespace.into()),
            standing: Some(Standing {
                id: id.to_owned(),
                expires,
                access: self.clone(),
            }),
        })
    }

    /// A token is revoked: whoever came with it is to go.
    pub(crate) fn revoke(&self) {
        self.revoked.send_replace(());
    }
}

impl Standing {
    /// Ready once the token does not hold any more.
    pub async fn over(self) {
        let mut revoked = self.access.revoked.subscribe();
        loop {
            let now = self.access.node.now();
            let row = self.access.node.reader();
            let row = row.object::<StoredToken>("", &self.id).await;
            // A store that cannot be read says nothing about the token.
            if matches!(row, Ok(None)) || !holds(self.expires, now) {
                return;
            }
            let left = self.expires.map_or(LOOK, |expires| {
                Duration::from_millis(expires.0.saturating_sub(now.0)).min(LOOK)
            });
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // Its sender lives as long as this access.
                _ = revoked.changed() => {}
            }
        }
    }
}

/// A token's id and secret.
fn parts(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .strip_prefix(PREFIX)
        .filter(|_| text.len() <= LONGEST)?;
    let (id, secret) = rest.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (id.len() == 2 * ID && secret.len() == 2 * SECRET && is_hex(id)).then_some((id, secret))
}

/// What a stored number allows.
pub(crate) fn scope(stored: u32) -> Option<Scope> {
    match TokenScope::try_from(stored.cast_signed()).ok()? {
        TokenScope::Driver => Some(Scope::Driver),
        TokenScope::Client => Some(Scope::Client),
        TokenScope::Admin => Some(Scope::Admin),
        TokenScope::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, hash, holds, parts};
    use conveyor_engine::time::Time;

    #[test]
    fn a_new_token_is_read_as_it_is_told() {
        let new = Access::make();
        let (id, secret) = parts(&new.text).unwrap();
        assert_eq!(id, new.id);
        assert_eq!(hash(secret.as_bytes()), new.hash);
        assert_ne!(Access::make().text, new.text);
    }

    #[test]
    fn what_is_no_token_is_not_looked_for() {
        let secret = "0".repeat(64);
        for text in [
            "",
            "conveyor_",
            "conveyor_0123456789abcdef",
            &format!("conveyor_0123456789abcde_{secret}"),
            &format!("conveyor_0123456789abcdeg_{secret}"),
            &format!("conveyor_0123456789abcdef_{secret}0"),
            &format!("Conveyor_0123456789abcdef_{secret}"),
        ] {
            assert!(parts(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_token_holds_until_its_last_millisecond() {
        assert!(holds(None, Time(u64::MAX)));
        assert!(holds(Some(Time(10)), Time(9)));
        assert!(!holds(Some(Time(10)), Time(10)));
    }
}

//! The proof of a claim that a report must carry (PROTOCOL P24).
//!
//! A token is a MAC over namespace, identity, the claim's nonce and the principal that took it, in
//! front of what it names and of the namespace. Journal and events hold the nonce, never the MAC's key.

use crate::id::RunId;
use conveyor_engine::run::Identity;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const MAC: usize = 32;
const BODY: usize = 16 + 4 + 4 + 4 + 8;

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claimed {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub id: Identity,
    /// The claim's nonce.
    pub nonce: u64,
}

impl Claimed {
    /// The W3C trace context of the attempt, the value of a `traceparent` header: the trace is the run, the
    /// span the claim.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let trace = u128::from_be_bytes(self.run.0);
        // A span of zeros means none.
        format!("00-{trace:032x}-{:016x}-01", self.nonce.max(1))
    }
}

/// Makes and checks tokens. Its key never leaves it.
pub struct Tokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// With the store's key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Tokens {
        // A key of any length is taken, so this cannot fail for 32 bytes.
        Tokens {
            mac: Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length")),
        }
    }

    /// The token of a claim, for the principal that took it.
    #[must_use]
    pub fn seal(&self, namespace: &str, principal: &str, claimed: &Claimed) -> Vec<u8> {
        let body = body(claimed);
        let mut token = self
            .over(namespace, principal, &body)
            .finalize()
            .into_bytes()
            .to_vec();
        token.extend_from_slice(&body);
        token.extend_from_slice(namespace.as_bytes());
        token
    }

    /// The namespace of a token, and what it names; `None` when it was not made here for that
    /// principal.
    #[must_use]
    pub fn open<'a>(&self, principal: &str, token: &'a [u8]) -> Option<(&'a str, Claimed)> {
        let (mac, rest) = token.split_at_checked(MAC)?;
        let (body, namespace) = rest.split_first_chunk::<BODY>()?;
        let namespace = std::str::from_utf8(namespace).ok()?;
        // `verify_slice` takes constant time.
        self.over(namespace, principal, body)
            .verify_slice(mac)
            .ok()?;
        Some((namespace, read(body)?))
    }

    /// What a token says that it names, whoever made it.
    #[must_use]
    pub fn named(token: &[u8]) -> Option<Claimed> {
        let (_, rest) = token.split_at_checked(MAC)?;
        let (body, _) = rest.split_first_chunk::<BODY>()?;
        read(body)
    }

    /// Proves that who comes back is who was welcomed under that session's id (PROTOCOL P25).
    #[must_use]
    pub fn session_secret(&self, session: &str) -> Vec<u8> {
        self.of_session(session).finalize().into_bytes().to_vec()
    }

    /// Whether a secret is the session's own.
    #[must_use]
    pub fn is_secret_of(&self, session: &str, secret: &[u8]) -> bool {
        self.of_session(session).verify_slice(secret).is_ok()
    }

    fn of_session(&self, session: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        // No token's MAC begins so: a namespace has at most 63 bytes.
        mac.update(&u64::MAX.to_le_bytes());
        mac.update(session.as_bytes());
        mac
    }

    fn over(&self, namespace: &str, principal: &str, body: &[u8; BODY]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in [namespace.as_bytes(), principal.as_bytes(), body] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

fn read(body: &[u8; BODY]) -> Option<Claimed> {
    let number =
        |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    Some(Claimed {
        run: RunId(body[..16].try_into().ok()?),
        id: Identity {
            step: number(16),
            instance: number(20),
            attempt: number(24),
        },
        nonce: u64::from(number(28)) | u64::from(number(32)) << 32,
    })
}

fn body(claimed: &Claimed) -> [u8; BODY] {
    let mut body = [0; BODY];
    body[..16].copy_from_slice(&claimed.run.0);
    body[16..20].copy_from_slice(&claimed.id.step.to_le_bytes());
    body[20..24].copy_from_slice(&claimed.id.instance.to_le_bytes());
    body[24..28].copy_from_slice(&claimed.id.attempt.to_le_bytes());
    body[28..].copy_from_slice(&claimed.nonce.to_le_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed() -> Claimed {
        let id = Identity {
            step: 3,
            instance: 70_000,
            attempt: 2,
        };
        Claimed {
            run: RunId([9; 16]),
            id,
            nonce: 0x0123_4567_89ab_cdef,
        }
    }

    #[test]
    fn a_token_opens_for_whom_it_was_made() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.seal("default", "ci", &claimed());
        assert_eq!(tokens.open("ci", &token), Some(("default", claimed())));
    }

    #[test]
    fn a_token_opens_for_nobody_else() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.seal("default", "ci", &claimed());
        assert_eq!(tokens.open("other", &token), None);
        assert_eq!(tokens.open("i", &token), None);
        assert_eq!(Tokens::new(&[2; 32]).open("ci", &token), None);
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 1;
            assert_eq!(tokens.open("ci", &forged), None, "byte {at}");
        }
        assert_eq!(tokens.open("ci", &token[1..]), None);
        assert_eq!(tokens.open("ci", &token[..token.len() - 1]), None);
        assert_eq!(tokens.open("ci", b""), None);
    }

    #[test]
    fn a_sessions_secret_is_its_own() {
        let tokens = Tokens::new(&[1; 32]);
        let secret = tokens.session_secret("one");
        assert!(tokens.is_secret_of("one", &secret));
        assert!(!tokens.is_secret_of("two", &secret) && !tokens.is_secret_of("one", b""));
        assert!(!Tokens::new(&[2; 32]).is_secret_of("one", &secret));
    }
}

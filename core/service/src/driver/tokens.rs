//! Tokens that a driver names, opened.

use super::convert;
use conveyor_engine::time::Time;
use conveyor_node::session::Session;
use conveyor_node::token::Claimed;
use conveyor_proto::v1;
use prost::bytes::Bytes;

/// The tokens of one message: whose claims they are, and which are nobody's.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The claims, in the order of their tokens.
    pub(super) claims: Vec<Claimed>,
    /// The token of each.
    tokens: Vec<Bytes>,
    /// Tokens that are no claims of whoever names them.
    stale: Vec<Bytes>,
}

impl Named {
    pub(super) fn open(
        tokens: impl IntoIterator<Item = Bytes>,
        open: impl Fn(&Bytes) -> Option<Claimed>,
    ) -> Named {
        let mut named = Named::default();
        for token in tokens {
            match open(&token) {
                Some(claimed) => named.push(claimed, token),
                None => named.push_stale(token),
            }
        }
        named
    }

    /// Those of a heartbeat, whose progress is told to the session.
    pub(super) fn of(session: &Session, tasks: Vec<v1::TaskProgress>, now: Time) -> Named {
        let (mut named, mut progress) = (Named::default(), Vec::new());
        for task in tasks {
            match session.open(&task.token) {
                Some(claimed) => {
                    progress.extend(convert::progress(&task, now).map(|told| (claimed, told)));
                    named.push(claimed, task.token);
                }
                None => named.push_stale(task.token),
            }
        }
        session.progress(progress);
        named
    }

    pub(super) fn push(&mut self, claimed: Claimed, token: Bytes) {
        self.claims.push(claimed);
        self.tokens.push(token);
    }

    pub(super) fn push_stale(&mut self, token: Bytes) {
        self.stale.push(token);
    }

    /// The tokens, as they were given, that are no claims, or whose claims are among those that are over.
    pub(super) fn stale(mut self, over: &[Claimed]) -> Vec<Bytes> {
        let each = self.claims.iter().zip(self.tokens);
        let ended = each.filter(|(claimed, _)| over.contains(claimed));
        self.stale.extend(ended.map(|(_, token)| token));
        self.stale
    }
}

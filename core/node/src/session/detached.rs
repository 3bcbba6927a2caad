//! Tasks that go on without a session, and who may end them (PROTOCOL P27a).

use super::assigned;
use crate::error::NodeError;
use crate::node::{Node, judge};
use crate::owner::{Answer, Input};
use crate::token::{Claimed, Tokens};
use conveyor_engine::run::Detached;
use conveyor_engine::time::Time;
use conveyor_proto::contract::PRINCIPALS;
use std::sync::Arc;

impl Node {
    /// What a token names, if it was made for the principal, or its attempt goes on without a session
    /// and named the principal, or did so to its end, and is the last of its instance.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn claim_for(
        &self,
        principal: &str,
        token: &[u8],
    ) -> Result<Option<Claimed>, NodeError> {
        if let Some(claimed) = self.claim(principal, token) {
            return Ok(Some(claimed));
        }
        let Some(claimed) = Tokens::named(token) else {
            return Ok(None);
        };
        let run = match self.reader().load(claimed.run).await {
            Ok(run) => run,
            Err(NodeError::NotFound(_) | NodeError::Corrupt(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let named =
            |detached: &&Detached| detached.principals.iter().any(|name| **name == *principal);
        let detached = run.was_detached(claimed.id).filter(named);
        let owner = detached.and_then(|detached| detached.principals.first());
        Ok(owner.and_then(|owner| self.claim(owner, token)))
    }

    /// The attempt goes on without a session until the instant, or the end of its time, and is ended by
    /// its token: by whoever claimed it (`owner`), or one of `others`. Called again, it has until then.
    /// Gives until when it is waited for; `None` when the claim is over.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] when there are more names than may be, or a secret of the attempt is in one: names
    /// are kept. Another when it could not be stored: it is to be sent again.
    pub async fn detach(
        &self,
        claimed: Claimed,
        until: Time,
        owner: &str,
        others: &[String],
    ) -> Result<Option<Time>, NodeError> {
        if others.len() > PRINCIPALS {
            // What is over is told so, whatever else is wrong with it (R66).
            return match self.is_current(claimed).await? {
                true => Err(NodeError::Invalid(format!(
                    "the limit `principals` of a detached task is {PRINCIPALS}; {} are named",
                    others.len()
                ))),
                false => Ok(None),
            };
        }
        if !others.is_empty()
            && let Some(assigned) = assigned::assigned(self, claimed).await?
            && let Some(why) = judge::secret_in_principals(assigned.mask(), others)
        {
            return Err(NodeError::Invalid(why));
        }
        self.detach_until(claimed, until, owner, others).await
    }

    /// Whether the claim is its attempt's.
    async fn is_current(&self, claimed: Claimed) -> Result<bool, NodeError> {
        match self.reader().load(claimed.run).await {
            Ok(run) => Ok(run.nonce(claimed.id) == Some(claimed.nonce)),
            Err(NodeError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn detach_until(
        &self,
        claimed: Claimed,
        until: Time,
        owner: &str,
        others: &[String],
    ) -> Result<Option<Time>, NodeError> {
        let others = others.iter().map(String::as_str);
        let principals = std::iter::once(owner)
            .chain(others)
            .map(Arc::from)
            .collect();
        let asked = move |ticket| Input::Detach {
            ticket,
            claimed,
            until,
            principals,
        };
        match self.ask(asked).await {
            Ok(Answer::Stale) | Err(NodeError::NotFound(_)) => return Ok(None),
            answer => answer?,
        };
        let run = self.reader().load(claimed.run).await?;
        Ok(run.detached(claimed.id).map(|detached| detached.until))
    }

    /// Gives a detached attempt more time. Gives until when it is waited for; `None` when the claim is
    /// over.
    ///
    /// # Errors
    /// As [`Node::detach`]; [`NodeError::Invalid`] where it is not detached.
    pub async fn extend(&self, claimed: Claimed, until: Time) -> Result<Option<Time>, NodeError> {
        let run = match self.reader().load(claimed.run).await {
            Err(NodeError::NotFound(_)) => return Ok(None),
            run => run?,
        };
        let Some(detached) = run.detached(claimed.id) else {
            return match run.nonce(claimed.id) == Some(claimed.nonce) {
                true => Err(NodeError::Invalid(
                    "the task is not detached: its driver's heartbeats keep it".to_owned(),
                )),
                false => Ok(None),
            };
        };
        let names: Vec<String> = detached
            .principals
            .iter()
            .map(ToString::to_string)
            .collect();
        match names.split_first() {
            Some((owner, others)) => self.detach_until(claimed, until, owner, others).await,
            None => Ok(None),
        }
    }
}

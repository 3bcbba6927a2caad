//! A stream's first message: a new session, or an earlier one.

use super::super::tokens::Named;
use super::super::{CONTRACT_VERSIONS, DriverHandlers, hello};
use super::{End, goodbye, unavailable};
use crate::caller::Caller;
use conveyor_node::NodeError;
use conveyor_node::session::{HelloError, Link};
use conveyor_proto::v1;
use prost::bytes::Bytes;

impl DriverHandlers {
    /// A new session.
    pub(super) async fn greet(
        &self,
        caller: &Caller,
        said: &v1::Hello,
    ) -> Result<(Link, v1::Welcome), End> {
        let read = hello::read(said, caller);
        let (mut read, version, notes) =
            read.map_err(|refused| goodbye(refused.reason, refused.message))?;
        let there = hello::is_somewhere(&self.node, &read).await;
        there.map_err(|error| match error {
            NodeError::NotFound(why) => goodbye(v1::GoodbyeReason::Refused, why),
            error => unavailable(&error),
        })?;
        let open = |token: &Bytes| self.node.claim(&caller.principal, token);
        let named = Named::open(said.adopts.iter().cloned(), open);
        read.adopts.clone_from(&named.claims);
        let (link, over) = self
            .node
            .open_session(read)
            .await
            .map_err(|error| match error {
                HelloError::Refused(reason) => goodbye(v1::GoodbyeReason::Refused, reason),
                HelloError::Node(error) => unavailable(&error),
            })?;
        let welcome = self.welcome(&link.session(), version, named.stale(&over), notes);
        Ok((link, welcome))
    }

    /// An earlier session over this stream (R41).
    pub(super) async fn resume(
        &self,
        caller: &Caller,
        resume: &v1::Resume,
    ) -> Result<(Link, v1::Welcome), End> {
        self.session_of(caller, &resume.session, &resume.resume_secret)
            .map_err(|status| goodbye(v1::GoodbyeReason::UnknownSession, status.message()))?;
        let mut named = Named::default();
        let resumed = self.node.resume_session(
            &resume.session,
            &resume.resume_secret,
            Some(resume.generation),
            |session| {
                let tokens = resume.tokens.iter().cloned();
                named = Named::open(tokens, |token| session.open(token));
                Some(named.claims.clone())
            },
        );
        let (link, over) = resumed.await.map_err(|error| match error {
            NodeError::NotFound(why) => goodbye(v1::GoodbyeReason::UnknownSession, why),
            NodeError::Invalid(why) => goodbye(v1::GoodbyeReason::Replaced, why),
            error => unavailable(&error),
        })?;
        let version = CONTRACT_VERSIONS[0];
        let stale = named.stale(&over);
        let welcome = self.welcome(&link.session(), version, stale, Vec::new());
        Ok((link, welcome))
    }
}

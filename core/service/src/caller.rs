//! Who asks.

use crate::access::Standing;
use std::fmt;
use std::sync::Arc;
use tonic::{Extensions, Status};

/// Who whoever can reach the process itself goes by. No token stands for it.
pub(crate) const LOCAL: &str = "local";

/// Who asks, as far as the way that the request came by could tell. Whoever listens puts it into the
/// request's extensions; a request without one came from this process.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name that it goes by; tokens of claims are made for it.
    pub principal: Arc<str>,
    /// What it may do.
    pub scope: Scope,
    /// The only namespace that it may touch; `None` for all.
    pub namespace: Option<Arc<str>>,
    /// The access token that it showed; `None` where it is known by something else.
    pub standing: Option<Standing>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The driver service.
    Driver,
    /// The control service, tokens and namespaces apart.
    Client,
    /// Everything.
    Admin,
}

impl Scope {
    /// Its name, as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Driver => "driver",
            Scope::Client => "client",
            Scope::Admin => "admin",
        }
    }

    /// The scope of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Scope> {
        let all = [Scope::Driver, Scope::Client, Scope::Admin];
        all.into_iter().find(|scope| scope.name() == name)
    }
}

impl Caller {
    /// Whoever can reach the process itself, or its socket, which is closed to other users.
    #[must_use]
    pub fn local() -> Caller {
        Caller {
            principal: Arc::from(LOCAL),
            scope: Scope::Admin,
            namespace: None,
            standing: None,
        }
    }

    /// Whether it is known by nothing but its way here.
    pub(crate) fn is_local(&self) -> bool {
        *self.principal == *LOCAL
    }

    /// Who asks for a call of the control service.
    pub(crate) fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or_else(Caller::local)
    }

    /// Whether it may make a call that takes a scope.
    ///
    /// # Errors
    /// [`Caller::lacks`].
    pub(crate) fn may(&self, call: &Call<'_>, least: Scope) -> Result<(), Status> {
        match self.scope >= least {
            true => Ok(()),
            false => Err(self.lacks(call, least)),
        }
    }

    /// PERMISSION_DENIED, with the scope that it has and the one that the call takes.
    #[must_use]
    pub fn lacks(&self, call: impl fmt::Display, takes: Scope) -> Status {
        let (has, takes) = (self.scope.name(), takes.name());
        Status::permission_denied(format!(
            "`{}` has the scope `{has}`; `{call}` takes `{takes}`: use a token with that scope \
             (`conveyor tokens create --scope {takes}` makes one)",
            self.principal
        ))
    }

    /// Whether it may touch what is of a namespace.
    ///
    /// # Errors
    /// PERMISSION_DENIED, whether the namespace is there or not.
    pub(crate) fn within(&self, namespace: &str) -> Result<(), Status> {
        match &self.namespace {
            Some(own) if **own != *namespace => Err(Status::permission_denied(format!(
                "`{}` is bound to the namespace `{own}`, and has nothing to do with `{namespace}`",
                self.principal
            ))),
            _ => Ok(()),
        }
    }

    /// Whether it may touch what is of all namespaces.
    ///
    /// # Errors
    /// PERMISSION_DENIED, with the namespace that it is bound to.
    pub(crate) fn is_unbound(&self, call: &Call<'_>) -> Result<(), Status> {
        match &self.namespace {
            None => Ok(()),
            Some(own) => Err(Status::permission_denied(format!(
                "`{}` is bound to the namespace `{own}`; `{call}` is for all of them, and takes a token \
                 that is bound to none",
                self.principal
            ))),
        }
    }
}

/// What was asked for where it was not by gRPC: whoever translates puts it into the request's extensions, so
/// that a refusal names what its reader sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// In any case: `get`.
    pub method: &'static str,
    /// With the names of its parameters: `/v1/runs/{run}`.
    pub path: &'static str,
}

/// A call, shown as whoever made it knows it: `GET /v1/runs/{run}`, or the method's name, `GetRun`.
pub(crate) struct Call<'a> {
    /// As the code names it: `get_run`.
    name: &'a str,
    asked: Option<Asked>,
}

impl<'a> Call<'a> {
    pub(crate) fn of(name: &'a str, extensions: &Extensions) -> Call<'a> {
        Call {
            name,
            asked: extensions.get().copied(),
        }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Asked { method, path }) = self.asked {
            return write!(f, "{} {path}", method.to_ascii_uppercase());
        }
        for word in self.name.split('_') {
            let (first, rest) = word.split_at(word.len().min(1));
            write!(f, "{}{rest}", first.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

//! Who asks.

use crate::access::Standing;
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

    /// Whether it may do what takes a scope.
    ///
    /// # Errors
    /// PERMISSION_DENIED, with both scopes.
    pub(crate) fn may(&self, what: &str, least: Scope) -> Result<(), Status> {
        if self.scope >= least {
            return Ok(());
        }
        let (has, takes) = (self.scope.name(), least.name());
        Err(Status::permission_denied(format!(
            "`{}` has the scope `{has}`; {what} takes `{takes}`",
            self.principal
        )))
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
    pub(crate) fn is_unbound(&self, what: &str) -> Result<(), Status> {
        match &self.namespace {
            None => Ok(()),
            Some(own) => Err(Status::permission_denied(format!(
                "`{}` is bound to the namespace `{own}`; {what} is for all of them",
                self.principal
            ))),
        }
    }
}

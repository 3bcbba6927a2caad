//! Who asks.

use std::sync::Arc;
use tonic::Extensions;

/// Who asks, as far as the way that the request came by could tell. Whoever listens puts it into the
/// request's extensions; a request without one came from this process or over its own socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name that it goes by; tokens of claims are made for it.
    pub principal: Arc<str>,
    /// What it may do.
    pub scope: Scope,
    /// The only namespace that it may touch; `None` for all.
    pub namespace: Option<Arc<str>>,
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

impl Caller {
    /// Whoever can reach the process itself, or its socket, which is closed to other users.
    #[must_use]
    pub fn local() -> Caller {
        Caller {
            principal: Arc::from("local"),
            scope: Scope::Admin,
            namespace: None,
        }
    }

    pub(crate) fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or_else(Caller::local)
    }
}

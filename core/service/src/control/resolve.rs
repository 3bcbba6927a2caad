//! Which run a person means.

use super::{ControlHandlers, refuse, short};
use crate::refusal;
use conveyor_node::reader::Filter;
use conveyor_node::{NodeError, RunId};
use tonic::Status;

/// The fewest characters of a part of an id.
const SHORTEST: usize = 4;
/// How many runs are looked through for a part of an id: the newest.
const LOOKED_AT: usize = 10_000;
/// How many are read at once.
const PAGE: usize = 1000;

impl ControlHandlers {
    /// The run with this id, or the only one whose id begins or ends with it; `latest` is the newest.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what is no id or fits several, NOT_FOUND for what fits none.
    pub(super) async fn resolve(&self, text: &str) -> Result<RunId, Status> {
        short("run", text, 64)?;
        if let Some(run) = RunId::parse(text) {
            self.sees_run(run).await?;
            return Ok(run);
        }
        let own = || Filter {
            namespace: self.caller.namespace.as_deref().map(str::to_owned),
            ..Filter::default()
        };
        if text == "latest" {
            let page = self.reader.list(own(), None, 1).await.map_err(refuse)?;
            let newest = page.rows.first().map(|row| row.id);
            return newest.ok_or_else(|| Status::not_found("there is no run yet"));
        }
        let part = text.to_ascii_lowercase();
        if part.len() < SHORTEST
            || !part
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            let why = format!(
                "`{text}` is no run: an id has hexadecimal digits and hyphens; give one, at least \
                 {SHORTEST} characters of its beginning or end, or `latest`"
            );
            return Err(refusal::value("/run", why).found(text).status());
        }
        let mut found = Vec::new();
        let (mut before, mut looked) = (None, 0);
        while looked < LOOKED_AT {
            let page = self
                .reader
                .list(own(), before, PAGE)
                .await
                .map_err(refuse)?;
            looked += page.rows.len();
            let fits = |id: &String| id.starts_with(&part) || id.ends_with(&part);
            found.extend(page.rows.iter().map(|row| row.id.to_string()).filter(fits));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        match found.as_slice() {
            [] => Err(Status::not_found(format!("there is no run `{text}`"))),
            [one] => Ok(RunId::parse(one).unwrap_or(RunId([0; 16]))),
            [one, other, ..] => {
                let why = format!(
                    "`{text}` fits {} runs, such as {one} and {other}; give more of the id",
                    found.len()
                );
                let some = [one, other].map(String::as_str);
                Err(refusal::value("/run", why)
                    .found(text)
                    .allowed(some)
                    .status())
            }
        }
    }

    /// A run of another namespace is none to a caller that is bound to one.
    pub(super) async fn sees_run(&self, run: RunId) -> Result<(), Status> {
        let Some(own) = self.caller.namespace.as_deref() else {
            return Ok(());
        };
        let missing = || Status::not_found(format!("there is no run {run}"));
        match self.reader.summary(run).await {
            Ok(row) if row.row.namespace == own => Ok(()),
            Ok(_) | Err(NodeError::NotFound(_)) => Err(missing()),
            Err(error) => Err(refuse(error)),
        }
    }
}

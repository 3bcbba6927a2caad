//! Access tokens: made, listed, revoked. Only administrators come here.

use super::objects::{Keyed, listing, page_token, undated};
use super::{ControlHandlers, refuse, short};
use crate::access::Access;
use crate::caller::LOCAL;
use crate::refusal;
use conveyor_node::objects::{Changes, ListObjects, Row};
use conveyor_proto::storage::v1::StoredToken;
use conveyor_proto::v1;
use tonic::Status;

/// How long a token holds where nobody says.
const USUAL_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// The longest that one holds which ends at all, in milliseconds: a hundred years.
const LONGEST_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
/// The longest name of who it stands for.
const PRINCIPAL: usize = 256;

fn told(id: &str, stored: &StoredToken) -> v1::AccessToken {
    v1::AccessToken {
        id: id.to_owned(),
        principal: stored.principal.clone(),
        scope: stored.scope.cast_signed(),
        namespace: stored.namespace.clone(),
        created_ms: stored.created_ms,
        expires_ms: stored.expires_ms,
    }
}

impl ControlHandlers {
    pub(super) async fn create_one_token(
        &self,
        mut request: v1::CreateTokenRequest,
    ) -> Result<v1::CreateTokenResponse, Status> {
        let key = std::mem::take(&mut request.idempotency_key);
        let asked = request.clone();
        let scope = refusal::word("/scope", request.scope, v1::TokenScope::as_str_name)?;
        if scope == v1::TokenScope::Unspecified {
            return Err(refusal::missing(
                "/scope",
                "`scope` is missing: driver, client or admin",
            ));
        }
        let principal = request.principal;
        short("principal", &principal, PRINCIPAL)?;
        if let Some(ttl) = request.ttl_ms.filter(|ttl| *ttl > LONGEST_MS) {
            let (ttl, most) = (ttl.try_into(), LONGEST_MS.try_into());
            let (ttl, most) = (ttl.unwrap_or(usize::MAX), most.unwrap_or(usize::MAX));
            return Err(refusal::limit("/ttl_ms", "ttl_ms", ttl, most));
        }
        if principal == LOCAL || principal.chars().any(char::is_control) {
            let why = format!(
                "`principal` is {principal:?}; that is who comes without a token, or has control characters"
            );
            return Err(refusal::value("/principal", why).found(&principal).status());
        }
        let namespace = match (request.namespace.as_str(), &self.caller.namespace) {
            ("", None) => String::new(),
            (name, _) => self.namespace(name).await?,
        };
        let _turn = self.changes.turn.lock().await;
        let key = match self.keyed("CreateToken", &namespace, &key, &asked).await? {
            Keyed::Repeat(answer) => return Ok(answer),
            Keyed::Fresh(key) => key,
        };
        let new = Access::make();
        let now = self.node.now().0;
        let expires_ms = match request.ttl_ms {
            Some(0) => None,
            ttl => Some(now.saturating_add(ttl.unwrap_or(USUAL_MS))),
        };
        let stored = StoredToken {
            hash: new.hash.to_vec().into(),
            principal: match principal.is_empty() {
                true => format!("token {}", new.id),
                false => principal,
            },
            scope: (scope as i32).cast_unsigned(),
            namespace,
            created_ms: now,
            expires_ms,
        };
        let mut changes = Changes::new();
        if !stored.namespace.is_empty() {
            self.stands(&mut changes, &stored.namespace).await?;
        }
        changes.put("", &new.id, &stored, None);
        let mut answer = v1::CreateTokenResponse {
            token: Some(told(&new.id, &stored)),
            secret: String::new(),
        };
        // The secret itself is nowhere in the store.
        key.keep(&mut changes, &answer);
        self.node.change(changes).await.map_err(refuse)?;
        answer.secret = new.text;
        Ok(answer)
    }

    pub(super) async fn all_tokens(
        &self,
        request: v1::ListTokensRequest,
    ) -> Result<v1::ListTokensResponse, Status> {
        let list = listing("tokens", "", request.options)?;
        if !list.labels.is_empty() {
            let why = "access tokens have no labels: leave the filter out";
            return Err(refusal::value("/options/labels", why).status());
        }
        undated(&list, "access tokens are listed whenever they were made")?;
        if self.caller.namespace.is_some() {
            // The ids of others' tokens are nobody's business, not even as a place in the listing.
            return self.own_tokens(list).await;
        }
        let page = self.reader.objects::<StoredToken>(list).await;
        let page = page.map_err(refuse)?;
        let tokens = page.rows.iter().map(|(id, row)| told(id, &row.value));
        Ok(v1::ListTokensResponse {
            tokens: tokens.collect(),
            next_page_token: page_token("tokens", page.next),
        })
    }

    /// Those of the caller's namespace, all that there are up to the page's size: the page token is the
    /// id of the last of them.
    async fn own_tokens(&self, list: ListObjects) -> Result<v1::ListTokensResponse, Status> {
        let (most, mut after) = (list.limit, list.after);
        let mut tokens = Vec::new();
        loop {
            let some = ListObjects {
                after,
                limit: most,
                ..ListObjects::default()
            };
            let page = self.reader.objects::<StoredToken>(some).await;
            let page = page.map_err(refuse)?;
            for (id, row) in &page.rows {
                if !self.sees_token(row) {
                    continue;
                }
                tokens.push(told(id, &row.value));
                if tokens.len() == most {
                    return Ok(v1::ListTokensResponse {
                        next_page_token: page_token("tokens", Some(id.clone())),
                        tokens,
                    });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(v1::ListTokensResponse {
                    tokens,
                    next_page_token: String::new(),
                });
            }
        }
    }

    pub(super) async fn revoke_one_token(
        &self,
        request: v1::RevokeTokenRequest,
    ) -> Result<v1::RevokeTokenResponse, Status> {
        short("id", &request.id, 64)?;
        let row = self.reader.object::<StoredToken>("", &request.id).await;
        let row = row.map_err(refuse)?.filter(|row| self.sees_token(row));
        let row = row.ok_or_else(|| {
            Status::not_found(format!(
                "there is no token `{}`; it may be revoked already",
                request.id
            ))
        })?;
        let mut changes = Changes::new();
        changes.delete("", &request.id, &row);
        self.node.change(changes).await.map_err(refuse)?;
        self.access.revoke();
        Ok(v1::RevokeTokenResponse {})
    }

    /// An administrator of one namespace has nothing to do with the tokens of others.
    fn sees_token(&self, row: &Row<StoredToken>) -> bool {
        let own = self.caller.namespace.as_deref();
        own.is_none_or(|own| own == row.value.namespace)
    }
}

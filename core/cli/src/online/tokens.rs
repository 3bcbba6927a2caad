//! `conveyor tokens`.

use super::objects::{instant, print_rows, say};
use super::{reading, with_engine};
use crate::args::{Output, TokenCreateArgs, TokenScope, TokensListArgs, TokensVerb};
use crate::client::{Engine, Problem};
use crate::exit::Exit;
use crate::render::style::Tone;
use crate::render::table::Table;
use crate::terminal;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;
use serde_json::json;

/// `conveyor tokens`.
pub(crate) fn tokens(verb: &TokensVerb) -> Exit {
    match verb {
        TokensVerb::Create(args) => with_engine(reading(&args.place), async |engine| {
            create(engine, args).await
        }),
        TokensVerb::List(args) => with_engine(reading(&args.place), async |engine| {
            list(engine, args).await
        }),
        TokensVerb::Revoke(args) => with_engine(reading(&args.place), async |engine| {
            let id = args.id.clone();
            let request = v1::RevokeTokenRequest { id };
            engine.client().revoke_token(request).await?;
            let told = json!({ "id": args.id, "revoked": true });
            say(args.form, &told, &format!("token {} revoked", args.id))
        }),
    }
}

async fn create(engine: &Engine, args: &TokenCreateArgs) -> Result<Exit, Problem> {
    let scope = match args.scope {
        TokenScope::Driver => v1::TokenScope::Driver,
        TokenScope::Client => v1::TokenScope::Client,
        TokenScope::Admin => v1::TokenScope::Admin,
    };
    let request = v1::CreateTokenRequest {
        principal: args.principal.clone(),
        scope: scope.into(),
        namespace: args.namespace.clone(),
        ttl_ms: Some(args.expires.0),
        // Not made twice by this program.
        idempotency_key: String::new(),
    };
    let made = engine.client().create_token(request).await?.into_inner();
    let token = made.token.unwrap_or_default();
    if args.form.output != Output::Table {
        let mut told = row(&token);
        told["secret"] = Json::from(made.secret);
        return say(args.form, &told, "");
    }
    // The secret alone, so that it can go into a file; the rest is for whoever watches.
    terminal::print(&format!("{}\n", made.secret));
    let until = match token.expires_ms {
        None => "holds until it is revoked".to_owned(),
        Some(until) => format!("holds until {}", instant(until)),
    };
    // Where nobody was named it stands for itself.
    let of = match token.principal == format!("token {}", token.id) {
        true => String::new(),
        false => format!(" of {}", token.principal),
    };
    terminal::note(&format!(
        "token {}{of} ({}) {until}; it is not told again",
        token.id,
        word(&token)
    ));
    Ok(Exit::Succeeded)
}

async fn list(engine: &Engine, args: &TokensListArgs) -> Result<Exit, Problem> {
    let mut tokens = Vec::new();
    let mut page_token = String::new();
    loop {
        let options = v1::ListOptions {
            page_token,
            ..v1::ListOptions::default()
        };
        let request = v1::ListTokensRequest {
            options: Some(options),
        };
        let answer = engine.client().list_tokens(request).await?.into_inner();
        tokens.extend(answer.tokens);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut table = Table::new(&[
        "token",
        "principal",
        "scope",
        "namespace",
        "created",
        "expires",
    ]);
    for token in &tokens {
        let namespace = match token.namespace.as_str() {
            "" => "*",
            name => name,
        };
        table.row([
            (Tone::Plain, token.id.clone()),
            (Tone::Plain, token.principal.clone()),
            (Tone::Plain, word(token).to_owned()),
            (Tone::Plain, namespace.to_owned()),
            (Tone::Plain, instant(token.created_ms)),
            (
                Tone::Plain,
                token.expires_ms.map_or("never".to_owned(), instant),
            ),
        ]);
    }
    let rows = tokens.iter().map(row).collect();
    print_rows(args.form, &Json::Array(rows), &table)
}

fn word(token: &v1::AccessToken) -> &'static str {
    match token.scope() {
        v1::TokenScope::Driver => "driver",
        v1::TokenScope::Client => "client",
        v1::TokenScope::Admin => "admin",
        v1::TokenScope::Unspecified => "?",
    }
}

fn row(token: &v1::AccessToken) -> Json {
    json!({
        "id": token.id, "principal": token.principal, "scope": word(token),
        "namespace": token.namespace, "created_at": Time(token.created_ms).to_string(),
        "expires_at": token.expires_ms.map(|at| Time(at).to_string()),
    })
}

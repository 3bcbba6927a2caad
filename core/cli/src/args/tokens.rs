//! `tokens`.

use super::{Form, Place};
use clap::{Args, Subcommand, ValueEnum};
use conveyor_engine::time::Duration;

const TOKENS: &str = "\
Examples:
  conveyor tokens create --scope driver --principal builders > driver.token
  conveyor tokens create --scope client --namespace default --expires 30d
  conveyor tokens list
  conveyor tokens revoke 3f6c2b7a9d01e45c

Whoever can open the data directory's socket makes the first one. A token is shown by CONVEYOR_TOKEN, by \
--token-file, or by the header `authorization: Bearer TOKEN`.";

/// `tokens`.
#[derive(Debug, Args)]
#[command(after_help = TOKENS)]
pub(crate) struct TokensArgs {
    /// What to do with access tokens.
    #[command(subcommand)]
    pub(crate) verb: TokensVerb,
}

/// What to do with access tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensVerb {
    /// Make a token: prints it, once and never again.
    Create(TokenCreateArgs),
    /// List tokens by id, without their secrets.
    List(TokensListArgs),
    /// End a token at once: who came with it is cut off.
    Revoke(TokenRevokeArgs),
}

/// `tokens create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// What it allows.
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub(crate) scope: TokenScope,
    /// Who it stands for, in records and for the claims of drivers. Default: `token ID`.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) principal: String,
    /// The only namespace that it may touch. Default: all.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) namespace: String,
    /// How long it holds: `90d`, `12h`, or `never` for one that holds until it is revoked. At most a
    /// hundred years.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = expires)]
    pub(crate) expires: Expires,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// How long a token holds, in milliseconds; 0 for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expires(pub(crate) u64);

fn expires(text: &str) -> Result<Expires, String> {
    if text == "never" {
        return Ok(Expires(0));
    }
    match Duration::parse(text) {
        Ok(Duration(millis)) if millis > 0 => Ok(Expires(millis)),
        _ => Err("a length of time such as 90d or 12h, or `never`".to_owned()),
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenScope {
    /// To be a driver.
    Driver,
    /// Runs, pipelines and what belongs to them.
    Client,
    /// Everything: tokens, namespaces, backups, too.
    Admin,
}

/// `tokens list`.
#[derive(Debug, Args)]
pub(crate) struct TokensListArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// `tokens revoke`.
#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArgs {
    /// Its id, as `tokens list` tells it.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

use clap::{Args, Subcommand};

const CONTRACT: &str = "\
Examples:
  conveyor contract openapi > openapi.json     For generators of clients, and for `schemathesis`";

/// `contract`.
#[derive(Debug, Args)]
#[command(after_help = CONTRACT)]
pub(crate) struct ContractArgs {
    /// What to print.
    #[command(subcommand)]
    pub(crate) verb: ContractVerb,
}

/// What to print of the contract.
#[derive(Debug, Subcommand)]
pub(crate) enum ContractVerb {
    /// Print the REST API as an OpenAPI 3.1 document.
    Openapi,
}

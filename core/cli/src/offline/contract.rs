//! `conveyor contract`: what the program serves, from the program alone.

use crate::args::ContractVerb;
use crate::exit::Exit;
use crate::terminal;

/// Prints a part of the contract.
pub(crate) fn contract(verb: &ContractVerb) -> Exit {
    match verb {
        ContractVerb::Openapi => terminal::print(conveyor_api::openapi()),
    }
    Exit::Succeeded
}

//! `conveyor contract`: what the program speaks, from the program alone.

mod files;
mod place;

use crate::args::{ContractVerb, ExportArgs};
use crate::exit::{Exit, refuse};
use crate::render::human;
use crate::terminal;
use place::Place;

/// Writes or prints a part of the contract.
pub(crate) fn contract(verb: &ContractVerb) -> Exit {
    match verb {
        ContractVerb::Export(args) => export(args),
        ContractVerb::Openapi => {
            terminal::print(conveyor_api::openapi());
            Exit::Succeeded
        }
    }
}

/// Writes the contract into a directory.
fn export(args: &ExportArgs) -> Exit {
    let directory = &args.directory;
    let files = match files::files() {
        Ok(files) => files,
        Err(error) => {
            return refuse(format!(
                "the contract of this program cannot be read: {error}"
            ));
        }
    };
    let written = Place::open(directory).and_then(|place| place.write(&files));
    match written {
        Ok(()) => {
            let count = human::count(files.len(), "file");
            let place = human::printable(&directory.display().to_string());
            terminal::print(&format!("{count} in {place}\n"));
            Exit::Succeeded
        }
        Err(why) => refuse(why),
    }
}

//! `conveyor contract`: the driver contract out of the program alone.

mod files;
mod place;

use crate::args::ExportArgs;
use crate::exit::{Exit, refuse};
use crate::render::human;
use crate::terminal;
use place::Place;

/// Writes the contract into a directory.
pub(crate) fn export(args: &ExportArgs) -> Exit {
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

//! `conveyor completion`.

use crate::args::{Cli, CompletionArgs};
use crate::exit::Exit;
use crate::terminal;
use clap::CommandFactory;

/// Prints the completion script of a shell.
pub(crate) fn completion(args: &CompletionArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "conveyor", &mut script);
    terminal::print(&String::from_utf8_lossy(&script));
    Exit::Succeeded
}

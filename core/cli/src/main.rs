//! `conveyor`: runs, checks, draws and tests pipelines, from a terminal or a script.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`args`] | the verbs, their options and their help |
//! | [`offline`] | verbs that need nothing but files: check, plan, test, restore, contract, completion |
//! | [`online`] | verbs that need an engine: run, runs, logs, events, stops, fork, backup |
//! | [`serve`] | the server |
//! | [`doctor`] | what is wrong with a setup |
//! | [`config`] | what it is configured by |
//! | [`render`] | what people see: pure functions from views to text and pictures |
//! | [`source`] | documents, inputs and cases: reading what a person names |
//! | [`drivers`] | the drivers in this process |
//! | [`interrupts`] | Ctrl-C, and what else asks the program to end |
//! | [`exit`] | exit statuses |
//! | [`terminal`] | where the output goes, how wide it is, whether it has colours |

mod args;
mod client;
mod config;
mod doctor;
mod drivers;
mod exit;
mod interrupts;
mod offline;
mod online;
mod render;
mod serve;
mod source;
mod terminal;

use args::{Cli, RunsVerb, Verb};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::set_colour(cli.color);
    // Documents and expressions recurse as deep as the engine's bounds allow, so what calls the
    // engine runs on its own thread, on a stack of the size that the engine asks for.
    let worker = std::thread::Builder::new()
        .name("conveyor".to_owned())
        .stack_size(conveyor_engine::STACK_BYTES)
        .spawn(move || dispatch(cli.verb));
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit.into(),
        // The panic has printed itself.
        Ok(Err(_)) => Exit::Failed.into(),
        Err(error) => exit::refuse(format!("cannot start a thread: {error}")).into(),
    }
}

fn dispatch(verb: Verb) -> Exit {
    match verb {
        Verb::Run(args) => online::run(args),
        Verb::Serve(args) => serve::serve(&args),
        Verb::Apply(args) => online::apply(&args),
        Verb::Start(args) => online::start(&args),
        Verb::Pipelines(args) => online::pipelines(&args.verb),
        Verb::Definitions(args) => online::definitions(&args.verb),
        Verb::Resources(args) => online::resources(&args.verb),
        Verb::Drivers(args) => online::drivers(&args.verb),
        Verb::Namespaces(args) => online::namespaces(&args.verb),
        Verb::Tokens(args) => online::tokens(&args.verb),
        Verb::Check(args) => offline::check(&args),
        Verb::Plan(args) if args.place.is_named() => online::plan(&args),
        Verb::Plan(args) => offline::plan(&args),
        Verb::Test(args) => offline::test(&args),
        Verb::Runs(args) => match args.verb {
            RunsVerb::List(args) => online::runs_list(&args),
            RunsVerb::Show(args) => online::runs_show(&args),
            RunsVerb::Release(args) => online::runs_release(&args),
            RunsVerb::Delete(args) => online::runs_delete(&args),
        },
        Verb::Logs(args) => online::logs(&args),
        Verb::Events(args) => online::events(&args),
        Verb::Cancel(args) => online::cancel(args),
        Verb::Drain(args) => online::drain(args),
        Verb::Terminate(args) => online::terminate(args),
        Verb::Pause(args) => online::pause(args),
        Verb::Resume(args) => online::resume(args),
        Verb::Fork(args) => online::fork(&args),
        Verb::Contract(args) => offline::contract(&args.verb),
        Verb::Conformance(args) => offline::conformance(&args),
        Verb::Backup(args) => online::backup(&args),
        Verb::Restore(args) => offline::restore(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Completion(args) => offline::completion(&args),
    }
}

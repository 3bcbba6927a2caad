//! Conveyor's conformance suite: whether a driver keeps the contract, requirement by requirement.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`v1`] | cases and programs as messages |
//! | [`CaseName`], [`RunName`], [`Pattern`] | what cases are called, and how they are chosen |
//! | [`Outcome`], [`Results`] | what came of cases, and what a program's exit status says of it |
//! | [`choose`], [`few`], [`pairwise`] | which of a case's many runs are done |
//! | [`Lists`] | what is known to fail |
//! | [`describe()`], [`Description`] | what a case does, for people |
//! | [`text_report`], [`junit_report`], [`json_report`], [`profile`()], [`badge`] | what is written of it |
//! | [`run`], [`run_until`], [`Options`], [`Endpoint`] | cases run against a driver |
//! | [`engine`] | the suite for engines |
//! | `backend`, `site`, `proxy`, `tap` | the engine, and what stands between it and a driver |
//! | `wire`, `interfere`, `laws` | what is said, what is done to it, and what can be seen of requirements in it |
//! | `driver`, `script` | a driver's process, and a case as it is performed |
//! | [`Keeper`] | what ends all that was started where the suite itself is killed |
//! | `cases`, `contract`, `rules`, `like` | cases of files, and what they cite and expect |
//! | `view` | runs as both suites look at them |
//! | `config`, `samples` | what a driver's author says of it, and samples in the places of cases |

mod axes;
mod backend;
mod cases;
mod config;
mod contract;
mod describe;
mod driver;
pub mod engine;
mod interfere;
mod keeper;
mod laws;
mod like;
mod lists;
mod names;
mod proxy;
#[cfg(test)]
mod replay;
mod report;
mod result;
mod rules;
mod runner;
mod samples;
mod script;
mod site;
mod tap;
mod view;
mod wire;

pub use axes::{Axes, Choice, ChoiceError, Row, choose, every, few, pairwise, product, select};
pub use backend::Backend;
pub use describe::{AxisTold, Cited, Description, ValueTold, describe, describe_engine};
pub use driver::Program;
pub use keeper::{Keeper, keep};
pub use lists::{ListErrors, ListFile, Lists, known_failing};
pub use names::{Axis, CaseName, NameError, Pattern, RunName, Unmatched};
pub use report::{
    Group, Sentences, Summary, Tally, TextOptions, badge, groups, json_report, junit_report, page,
    profile, text_report,
};
pub use result::{
    Counts, Expectation, Finding, Line, Missing, Outcome, Results, Rule, RuleError, Standing,
    Status, Subject, Verdict,
};
/// A test of a driver, beside its others:
///
/// ```no_run
/// use conveyor_conformance::{Options, Program, Status, TextOptions, embedded, run, text_report};
///
/// # /*
/// #[tokio::test(flavor = "multi_thread")]
/// # */
/// async fn the_driver_keeps_the_contract() {
///     let options = Options {
///         program: Program {
///             command: vec!["target/release/my-driver".to_owned()],
///             ..Program::default()
///         },
///         cases: embedded("contract").expect("the suite's own cases"),
///         ..Options::default()
///     };
///     let results = run(&options, |_, _| {}).await.expect("the suite can begin");
///     let told = text_report(&results, TextOptions::default());
///     assert_eq!(results.status(), Status::AsExpected, "{told}");
/// }
/// ```
///
/// What is started is ended as the future and its results are dropped; where the process may be killed, a [`Keeper`] ends it.
pub use runner::run;
pub use runner::{Breadth, Endpoint, Options, Trace, names, run_until};

use prost_reflect::DescriptorPool;
use std::sync::LazyLock;

/// Cases, and what the suite and a driver say to each other: `proto/conveyor/conformance/v1`.
#[allow(
    clippy::all,
    rustdoc::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; the comments come from the .proto files, where buf checks them"
)]
pub mod v1 {
    include!("gen/conveyor.conformance.v1.rs");
}

/// All of it as an encoded `FileDescriptorSet`, comments included, and what it imports.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// The contract's messages.
fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        // The bytes are the contract's own: the tests read them.
        DescriptorPool::decode(conveyor_proto::DESCRIPTORS).unwrap_or_default()
    });
    &POOL
}

/// The cases of a profile that are within the program.
///
/// # Errors
/// All that is wrong with them, a sentence each.
pub fn embedded(profile: &str) -> Result<Vec<v1::Case>, Vec<String>> {
    contract::embedded(profile).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The cases of a file of the profiles `contract` and `driver`.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn read_cases(name: &str, text: &str) -> Result<Vec<v1::Case>, Vec<String>> {
    contract::read(&[(name, text)])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// What a driver's author says of it, for the profile `contract` or `driver`.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn read_config(name: &str, text: &str, profile: &str) -> Result<v1::Config, Vec<String>> {
    config::read(name, text, profile)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// What the contract says that somebody must, and no case of the suite tests: `R12: …`.
///
/// # Errors
/// All that is wrong with the cases, a sentence each.
pub fn uncited() -> Result<Vec<String>, Vec<String>> {
    let of_drivers = embedded("contract")?;
    let cites = |number: &str| {
        let mut cited = of_drivers.iter().flat_map(|case| &case.requires);
        cited.any(|cited| cited == number)
    };
    let rule = |number: &String| {
        let rule = rules::of(number).map_or("", |requirement| requirement.rule);
        format!("{number}: {rule}")
    };
    let mut uncited = engine::uncited()?;
    let musts = musts_of_drivers();
    let without = musts.iter().filter(|number| !cites(number));
    uncited.extend(without.map(rule));
    Ok(uncited)
}

/// Numbers of the requirements that drivers must keep.
#[must_use]
pub fn musts_of_drivers() -> Vec<String> {
    let musts = rules::REQUIREMENTS.iter().filter(|requirement| {
        requirement.strength == rules::Strength::Must && requirement.who != rules::Who::Engine
    });
    musts.map(|rule| rule.number.to_owned()).collect()
}

/// What a rule says, of the driver contract, the semantics or the protocol, as Markdown that fits into a table's cell;
/// `None` where there is no such rule.
#[must_use]
pub fn sentence_of(rule: &Rule) -> Option<String> {
    rules::sentence(&rule.to_string()).map(|says| says.replace('|', "\\|"))
}

/// Features that a driver may declare.
#[must_use]
pub fn features() -> &'static [&'static str] {
    config::FEATURES
}

/// The features with one of which a driver can be tested over a way to talk (`tcp`): all of them are needed.
#[must_use]
pub fn needed_for(transport: &str) -> Vec<&'static str> {
    let transport = site::Transport::parse(transport);
    transport.map_or_else(Vec::new, site::Transport::features)
}

/// The day as reports have it: `2026-11-28`, in UTC.
#[must_use]
pub fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_millis() as u64);
    let time = conveyor_engine::time::Time(now).to_string();
    time.chars().take(10).collect()
}

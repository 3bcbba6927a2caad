//! Verbs that need nothing but files.

use super::{CheckOutput, Inputs, Place, PlanOutput};
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

const CHECK: &str = "\
Examples:
  conveyor check pipeline.yaml
  conveyor check pipelines/*.yaml -o json
  generate | conveyor check -

Exit status: 0 when every document is accepted (warnings do not matter), 2 when one is not.";

/// `check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK)]
pub(crate) struct CheckArgs {
    /// Documents, YAML or JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: CheckOutput,
    /// Refuse documents with warnings too.
    #[arg(long)]
    pub(crate) strict: bool,
}

const PLAN: &str = "\
Examples:
  conveyor plan pipeline.yaml
  conveyor plan pipeline.yaml -i env=prod        A matrix that depends on inputs
  conveyor plan pipeline.yaml -o svg > graph.svg
  conveyor plan pipeline.yaml -o dot | dot -Tpdf > graph.pdf

With --server or --data-dir the engine there plans it, by the drivers that it knows, and refuses what it \
would not take. Without, nothing but the file is read.

The critical path is the longest chain of steps that wait for each other. \
A picture has at most 2,000 steps.";

/// `plan`.
#[derive(Debug, Args)]
#[command(after_help = PLAN)]
pub(crate) struct PlanArgs {
    /// The document, YAML or JSON; `-` is standard input.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: PlanOutput,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    #[command(flatten)]
    pub(crate) place: Place,
}

const TEST: &str = "\
Examples:
  conveyor test pipeline.yaml                      Cases of pipeline.test.yaml
  conveyor test pipeline.yaml --cases more.test.yaml
  conveyor test pipeline.yaml --junit report.xml
  conveyor test pipeline.yaml --filter 'deploy fails'

Nothing is executed: a case says what each attempt gives, a virtual clock jumps from one completion \
or timer to the next, and the engine decides as it would for real.

Exit status: 0 when every case passes, 1 when one does not, 2 when a file is refused.";

/// `test`.
#[derive(Debug, Args)]
#[command(after_help = TEST)]
pub(crate) struct TestArgs {
    /// The document, YAML or JSON.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The cases. Default: FILE with `.test.yaml` in the place of its extension.
    #[arg(long, value_name = "FILE.test.yaml", value_hint = clap::ValueHint::FilePath)]
    pub(crate) cases: Option<PathBuf>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Also write a JUnit report here.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: CheckOutput,
}

const COMPLETION: &str = "\
Examples:
  conveyor completion bash > ~/.local/share/bash-completion/completions/conveyor
  conveyor completion zsh > ~/.zfunc/_conveyor
  conveyor completion fish > ~/.config/fish/completions/conveyor.fish";

/// `completion`.
#[derive(Debug, Args)]
#[command(after_help = COMPLETION)]
pub(crate) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

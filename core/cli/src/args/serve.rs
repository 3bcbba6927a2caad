//! `serve`.

use crate::config::Given;
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

const SERVE: &str = "\
Examples:
  conveyor serve
  conveyor serve --data-dir /var/lib/conveyor --listen 127.0.0.1:7420
  conveyor serve --listen 127.0.0.1:0          A free port; the first line says which
  conveyor serve --config conveyor.toml
  conveyor serve --print-config                All settings, and where each comes from
  conveyor serve --listen 0.0.0.0:7420 --tls-cert server.pem --tls-key server.key --auth-required

Drivers and clients reach it at http://ADDRESS, and on this machine by its data directory:
  CONVEYOR_URL=http://127.0.0.1:7420 conveyor-driver-exec
  conveyor runs list --server http://127.0.0.1:7420

SIGTERM or Ctrl-C: it takes nothing new, tells its drivers to come back later, and ends. What runs goes on \
in its drivers, and they report to the server that is started next over the same data directory.

Exit status: 0 it was told to end, 2 it could not start.";

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE)]
pub(crate) struct ServeArgs {
    /// The configuration. Default: `CONVEYOR_CONFIG`, else none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print the effective configuration, and where each setting comes from, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Where everything is kept. Default: `CONVEYOR_DATA_DIR`, else `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<String>,
    /// Where to listen. Other addresses than those of this machine alone need TLS and --auth-required, or
    /// --insecure. Default: 127.0.0.1:7420.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Whoever comes over the address has to show an access token (`conveyor tokens create`).
    #[arg(long)]
    pub(crate) auth_required: bool,
    /// Speak TLS on the address, with this certificate (PEM).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_cert: Option<String>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_key: Option<String>,
    /// Each client has to show a certificate that this authority has signed (PEM).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_client_ca: Option<String>,
    /// Who the certificate of a client stands for: `ci.example.com=client@team-a`. May be given often.
    #[arg(long, value_name = "NAME=SCOPE[@NAMESPACE]")]
    pub(crate) client_name: Vec<String>,
    /// Listen on an address that other machines reach, though anybody there may do anything, or read what
    /// others send.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Also run `exec` steps in this process, so many at once. Whoever may start a run may then run
    /// any command as this user.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) exec: Option<u32>,
    /// Where files lie that steps may name as secrets (`file:NAME`). Default: none may.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) secrets_dir: Option<String>,
    /// What variables of this process begin with that steps may name as secrets (`env:NAME`). Default:
    /// none may.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) secrets_env: Option<String>,
    /// How long tasks of this process may go on once it is told to end, in seconds. Default: 30.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) drain: Option<u64>,
    /// How its log is written, on standard error: `text` or `json`. Default: text.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

impl ServeArgs {
    /// What they say, by the settings' names.
    pub(crate) fn given(&self) -> Given {
        let mut options = BTreeMap::new();
        let mut give = |name, option, text: Option<String>| {
            if let Some(text) = text {
                options.insert(name, (option, text));
            }
        };
        give("listen", "--listen", self.listen.clone());
        give("data_dir", "--data-dir", self.data_dir.clone());
        give("log.format", "--log-format", self.log_format.clone());
        let insecure = self.insecure.then(|| "true".to_owned());
        give("insecure", "--insecure", insecure);
        let required = self.auth_required.then(|| "true".to_owned());
        give("auth.required", "--auth-required", required);
        let names = (!self.client_name.is_empty()).then(|| self.client_name.join(","));
        give("auth.certificates", "--client-name", names);
        give("tls.cert", "--tls-cert", self.tls_cert.clone());
        give("tls.key", "--tls-key", self.tls_key.clone());
        give(
            "tls.client_ca",
            "--tls-client-ca",
            self.tls_client_ca.clone(),
        );
        give(
            "secrets.directory",
            "--secrets-dir",
            self.secrets_dir.clone(),
        );
        give(
            "secrets.env_prefix",
            "--secrets-env",
            self.secrets_env.clone(),
        );
        let exec = self.exec.map(|places| places.to_string());
        give("exec.capacity", "--exec", exec);
        let drain = self.drain.map(|seconds| format!("{seconds}s"));
        give("drain", "--drain", drain);
        Given {
            file: self.config.clone(),
            options,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServeArgs;
    use clap::Args as _;

    #[test]
    fn the_page_of_settings_names_each_option() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).expect("it is there");
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            let has = page.contains(&format!("--{option}"));
            assert!(has, "docs/configuration.md says nothing of `--{option}`");
        }
    }
}

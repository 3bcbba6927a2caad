//! The table of all settings.

use super::kind::{
    Address, Beginning, Certificates, Flag, Form, Kept, Kind, Level, LogFormat, Origins, Place,
    Time, Whole,
};

/// Logs are kept until no late line is taken any more, and some time beyond: 10 minutes.
const LOGS_MS: u64 = 2 * conveyor_node::session::SEALED_AFTER.0;

/// A setting, as far as it is the same for all kinds.
pub(crate) struct Setting {
    /// `section.key`, or `key` for those of no section.
    pub(crate) name: &'static str,
    /// As it stands in a file, without quotes.
    pub(crate) default: &'static str,
    /// How it stands in a file.
    pub(crate) form: Form,
    /// What it does, for people.
    pub(crate) help: &'static str,
    /// What is expected.
    pub(crate) expected: fn() -> String,
    /// Whether a text can be read.
    pub(crate) fits: fn(&str) -> bool,
}

impl Setting {
    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("CONVEYOR_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Makes the table and the struct of one list, so that neither has what the other lacks.
macro_rules! settings {
    ($($field:ident: $kind:ty, $name:literal = $default:literal, $help:literal;)*) => {
        /// All settings, those of a section together.
        pub(crate) const SETTINGS: &[Setting] = &[$(Setting {
            name: $name,
            default: $default,
            form: <$kind as Kind>::FORM,
            help: $help,
            expected: <$kind as Kind>::expected,
            fits: |text| <$kind as Kind>::read(text).is_some(),
        }),*];

        /// The effective configuration of a server.
        #[derive(Clone, Debug)]
        pub(crate) struct Config {
            $(#[doc = $help] pub(crate) $field: <$kind as Kind>::Value,)*
        }

        impl Config {
            /// Of a text for each setting; gives the name of the first one that does not fit.
            pub(super) fn read(text: impl Fn(&str) -> String) -> Result<Config, &'static str> {
                Ok(Config { $($field: <$kind as Kind>::read(&text($name)).ok_or($name)?,)* })
            }
        }
    };
}

settings! {
    listen: Address, "listen" = "127.0.0.1:7420",
        "Where to listen. Port 0 takes a free one, and the first line of the log says which. Other addresses than those of this machine need `tls.cert` and `auth.required` or `tls.client_ca`, or `insecure`.";
    insecure: Flag, "insecure" = "false",
        "Listen where other machines reach it, though anybody there may do anything.";
    data_dir: Place, "data_dir" = "",
        "Where everything is kept. Empty: `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.";
    drain: Time<0, 86_400_000>, "drain" = "30s",
        "How long tasks of this process may go on once it is told to end.";
    log_format: LogFormat, "log.format" = "text",
        "How the log is written, on standard error: `text` or `json`.";
    log_level: Level, "log.level" = "info",
        "What is logged: a level, or a list of levels by module. `RUST_LOG` is read where `CONVEYOR_LOG_LEVEL` is not set.";
    exec: Whole<0, 10_000>, "exec.capacity" = "0",
        "How many `exec` steps run in this process at once; 0 for none. Whoever may start a run may then run any command as this user.";
    connections: Whole<1, 1_000_000>, "connections.limit" = "10000",
        "The most connections at once; more wait to be accepted.";
    streams: Whole<1, 65_536>, "connections.streams" = "256",
        "The most streams at once on one connection.";
    head: Time<100, 600_000>, "connections.head" = "10s",
        "How long a client has for the head of a request.";
    keepalive: Time<1_000, 3_600_000>, "connections.keepalive" = "20s",
        "A connection that is silent for so long is asked whether anybody is there, and closed where nobody answers within as long; one whose client takes nothing of what it is sent for so long is closed, too.";
    silence: Time<1_000, 600_000>, "connections.silence" = "15s",
        "Server-sent events that are silent for so long have a comment, so that whoever is in between keeps the connection.";
    goodbye: Time<0, 600_000>, "connections.goodbye" = "5s",
        "How long connections have to end with the server.";
    heartbeat: Time<500, 10_000>, "sessions.heartbeat" = "5s",
        "How often drivers are told to say that they are there. A session without tasks is forgotten after 30s without a word.";
    output_bytes: Whole<1_024, 33_554_432>, "limits.output_bytes" = "8388608",
        "The longest outputs of an attempt, in bytes of JSON.";
    checkpoint_bytes: Whole<1_024, 4_194_304>, "limits.checkpoint_bytes" = "1048576",
        "The longest checkpoint, in bytes: each is a record of the journal.";
    keep_succeeded: Kept<1_000>, "retention.succeeded" = "never",
        "Runs that succeeded are deleted so long after their end; `never`: only by `conveyor runs delete`.";
    keep_failed: Kept<1_000>, "retention.failed" = "never",
        "The same for runs that failed.";
    keep_cancelled: Kept<1_000>, "retention.cancelled" = "never",
        "The same for runs that were cancelled.";
    keep_logs: Kept<LOGS_MS>, "retention.logs" = "never",
        "Logs of runs that have ended are deleted so long after the run's end, and with the run at the latest.";
    keep_events: Kept<60_000>, "retention.events" = "7d",
        "Events of namespaces are deleted so long after they happened. Who follows them and comes back later is told that some are missing. Runs keep their own events.";
    retention_interval: Time<1_000, 86_400_000>, "retention.interval" = "10m",
        "How often it is looked for what is to be deleted.";
    secrets_directory: Place, "secrets.directory" = "",
        "Where files lie that steps may name as secrets. Empty: none may.";
    secrets_env_prefix: Beginning, "secrets.env_prefix" = "",
        "What the server's own variables begin with that steps may name as secrets. Empty: none may.";
    auth_required: Flag, "auth.required" = "false",
        "Whether whoever comes over the address has to say who it is: by an access token, or a client certificate. Who comes by the data directory's socket is its user, and needs none.";
    auth_certificates: Certificates, "auth.certificates" = "",
        "Who client certificates stand for, by their DNS names and URIs.";
    cors_origins: Origins, "cors.origins" = "",
        "Origins whose pages may use the REST API from a browser, on the address. Empty: none. They show an access token as everybody does; where none is required, whoever opens such a page can do what this server does.";
    tls_cert: Place, "tls.cert" = "",
        "The server's certificate and those between it and a root, PEM. With it the address speaks TLS. Read again when it changes, and on SIGHUP.";
    tls_key: Place, "tls.key" = "",
        "The certificate's private key, PEM.";
    tls_client_ca: Place, "tls.client_ca" = "",
        "Who signs the certificates of clients, PEM. With it each client has to show one.";
}

/// The setting of a name.
pub(crate) fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

//! The effective configuration as a file.

use super::kind::Form;
use super::resolve::Resolved;
use super::settings::SETTINGS;

impl Resolved {
    /// All settings as a file would have them, each with where it comes from.
    pub(crate) fn show(&self) -> String {
        let mut shown = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let (of, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
            if of != section {
                shown.push_str(&format!("\n[{of}]\n"));
                section = of;
            }
            let Some((text, origin)) = self.texts.get(setting.name) else {
                continue;
            };
            let text = written(setting.form, text);
            shown.push_str(&format!("# {}\n{key} = {text}  # {origin}\n", setting.help));
        }
        shown
    }
}

/// A text as it stands in a file.
fn written(form: Form, text: &str) -> String {
    match form {
        Form::Number | Form::Flag => text.to_owned(),
        Form::Text => {
            let escaped: String = text
                .chars()
                .map(|letter| match letter {
                    '"' | '\\' => format!("\\{letter}"),
                    letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
                    letter => letter.to_string(),
                })
                .collect();
            format!("\"{escaped}\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, resolve};
    use super::*;

    /// The table of `docs/configuration.md`.
    fn table() -> String {
        let mut table =
            "| setting | variable | default | what it does |\n| --- | --- | --- | --- |\n"
                .to_owned();
        for setting in SETTINGS {
            table.push_str(&format!(
                "| `{}` | `{}` | `{}` | {} Takes {}. |\n",
                setting.name,
                setting.variable(),
                written(setting.form, setting.default),
                setting.help,
                (setting.expected)(),
            ));
        }
        table
    }

    #[test]
    fn the_documentation_has_each_setting_as_it_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).expect("it is there");
        let table = table();
        assert!(
            page.contains(&table),
            "docs/configuration.md is to have\n\n{table}"
        );
    }

    fn file(text: &str) -> (tempfile::TempDir, Given) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("conveyor.toml");
        std::fs::write(&path, text).expect("it is writable");
        let file = Some(path);
        (
            dir,
            Given {
                file,
                ..Given::default()
            },
        )
    }

    fn refused(text: &str) -> String {
        let (_dir, given) = file(text);
        resolve(given, |_| None).expect_err("it is refused")
    }

    #[test]
    fn defaults_are_as_the_code_they_configure_has_them() {
        let config = resolve(Given::default(), |_| None).expect("it is").config;
        let connections = conveyor_api::ConnectionLimits::default();
        assert_eq!(config.connections as usize, connections.connections);
        assert_eq!(config.streams as u32, connections.streams);
        assert_eq!(config.head, connections.head);
        assert_eq!(config.keepalive, connections.keepalive);
        assert_eq!(config.goodbye, connections.goodbye);
        let limits = conveyor_node::node::Limits::default();
        assert_eq!(config.output_bytes, limits.output_bytes);
        assert_eq!(config.checkpoint_bytes, limits.checkpoint_bytes);
        let heartbeat = config.heartbeat.as_millis() as u64;
        assert_eq!(heartbeat, conveyor_service::HEARTBEAT_INTERVAL_MS);
        assert_eq!(config.keep_succeeded, None);
    }

    #[test]
    fn an_option_goes_before_the_environment_and_that_before_the_file() {
        let text = "listen = \"127.0.0.1:1\"\ndrain = \"1s\"\n[log]\nlevel = \"warn\"\nformat = \"json\"\n";
        let (_dir, mut given) = file(text);
        given
            .options
            .insert("listen", ("--listen", "127.0.0.1:3".to_owned()));
        let environment = |name: &str| match name {
            "CONVEYOR_LISTEN" => Some("127.0.0.1:2".to_owned()),
            "CONVEYOR_DRAIN" => Some("2s".to_owned()),
            "CONVEYOR_LOG_FORMAT" => Some(String::new()),
            _ => None,
        };
        let resolved = resolve(given, environment).expect("it is right");
        assert_eq!(resolved.config.listen.port(), 3);
        assert_eq!(resolved.config.drain.as_secs(), 2);
        assert_eq!(resolved.config.log_level, "warn");
        assert_eq!(resolved.config.log_format, super::super::LogFormat::Json);
        let shown = resolved.show();
        for line in [
            "listen = \"127.0.0.1:3\"  # --listen\n",
            "drain = \"2s\"  # CONVEYOR_DRAIN\n",
            "conveyor.toml:4:9\n",
            "\n[exec]\n# How many `exec` steps",
            "capacity = 0  # default\n",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        // What is printed is a configuration.
        let (_dir, printed) = file(&shown);
        let again = resolve(printed, |_| None).expect("it is read");
        assert_eq!(
            format!("{:?}", again.config),
            format!("{:?}", resolved.config)
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_all_of_it() {
        let said = refused(
            "lisen = \"x\"\n\n[retention]\nsuceeded = \"30d\"\nfailed = 90\nlogs = \"soon\"\n",
        );
        let lines: Vec<&str> = said.lines().collect();
        for (line, words) in lines.iter().zip([
            ["conveyor.toml:1:1: ", "did you mean `listen`?"],
            ["conveyor.toml:4:1: ", "did you mean `retention.succeeded`?"],
            [
                "conveyor.toml:5:10: ",
                "`retention.failed` is 90; expected `never`",
            ],
            ["conveyor.toml:6:8: ", "`retention.logs` is \"soon\""],
        ]) {
            assert!(
                words.iter().all(|word| line.contains(word)),
                "{words:?}: {line}"
            );
        }
        assert_eq!(lines.len(), 4, "{said}");
        assert!(refused("[log]\nformat = \n").contains("conveyor.toml:2:"));
        assert!(refused("[nowhere]\n").contains("no setting `nowhere`"));
        assert_eq!(
            refused("log = 1\n")
                .split_once("conveyor.toml")
                .map(|(_, said)| said.to_owned()),
            Some(":1:7: `log` is 1; expected a table `[log]` with `format`, `level`".to_owned())
        );
        assert!(refused("exec = 3\n").contains("a table `[exec]` with `capacity`"));
        assert!(refused("[connections]\nlimit = 0\n").contains("from 1 to 1000000"));
        let environment =
            |name: &str| (name == "CONVEYOR_EXEC_CAPACITY").then(|| "many".to_owned());
        let said = resolve(Given::default(), environment).expect_err("it is refused");
        assert!(said.starts_with("CONVEYOR_EXEC_CAPACITY: "), "{said}");
        let (dir, _) = file("");
        let given = Given {
            file: Some(dir.path().join("none.toml")),
            ..Given::default()
        };
        let said = resolve(given, |_| None).expect_err("it is refused");
        assert!(said.contains("none.toml"), "{said}");
    }
}

//! docs/testing-a-driver.md is what the suite does: each command with JSON that is one, each feature with cases, a case
//! of one's own that runs, and commands that end as they are said to.

use conveyor_api::from_json_of;
use conveyor_conformance::{
    DESCRIPTORS, Pattern, RunName, embedded, features, names, needed_for, v1,
};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/testing-a-driver.md");
    std::fs::read_to_string(file).expect("the page is there")
}

fn message(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("descriptors");
    let name = format!("conveyor.conformance.v1.{name}");
    pool.get_message_by_name(&name).expect("a message")
}

/// The cells of the tables below a heading, without their heads.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let begin = format!("\n## {heading}\n");
    let (_, section) = page.split_once(&begin).expect("the page has the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_start_matches("| ").trim_end_matches('|');
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    lines.map(cells).collect()
}

/// What stands as code in a cell.
fn codes(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

fn suite(arguments: &[&str]) -> Output {
    let mut suite = Command::new(env!("CARGO_BIN_EXE_conveyor-conformance"));
    suite.args(arguments).output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The block of the page in which a word stands.
fn block(language: &str, word: &str) -> String {
    let page = page();
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1);
    let mut blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    let block = blocks.find(|block| block.contains(word));
    block.expect("the page has such a block").to_owned()
}

#[test]
fn each_command_is_on_the_page_with_json_that_is_one() {
    let command = message("Command");
    let rows = rows("The commands");
    let oneof = command.oneofs().next().expect("it is one of them");
    for field in oneof.fields() {
        let name = field.name();
        let row = rows.iter().find(|row| row[0] == format!("`{name}`"));
        let row = row.unwrap_or_else(|| panic!("`{name}` has no row"));
        assert!(
            row.len() >= 3 && row[2].len() > 10,
            "`{name}`: what it leads to"
        );
        let example = codes(&row[1]).join("");
        let json: Value = serde_json::from_str(&example)
            .unwrap_or_else(|error| panic!("{name}: {example}: {error}"));
        assert!(json.get(name).is_some(), "{name}: {example}");
        let read = from_json_of(&command, &json);
        assert!(read.is_ok(), "{name}: {example}: {:?}", read.err());
        // Each of its fields is in the example, so that nobody has to look for it elsewhere.
        let inner = field.kind();
        let inner = inner.as_message().expect("a command is a message");
        for part in inner.fields() {
            let told = json[name].get(part.name()).is_some();
            assert!(told, "{name}: {} is not in {example}", part.name());
        }
    }
    assert_eq!(rows.len(), oneof.fields().count(), "a row is no command");
    // And what each needs is said as the cases have it.
    let feature = |name: &str| {
        let row = rows.iter().find(|row| row[0] == format!("`{name}`"));
        row.and_then(|row| row.get(3))
            .map(|cell| codes(cell).join(""))
    };
    assert_eq!(feature("log").as_deref(), Some("logs"));
    assert_eq!(feature("exit").as_deref(), Some("exit"));
}

#[test]
fn what_is_said_of_echo_are_the_fields_of_carried() {
    let rows = rows("The commands");
    let echo = rows.iter().find(|row| row[0] == "`echo`").expect("a row");
    let told = codes(&echo[2]);
    for field in message("Carried").fields() {
        let named = told.iter().any(|word| word == field.name());
        assert!(named, "`echo` does not tell of {}", field.name());
    }
}

#[test]
fn each_feature_has_its_row_and_patterns_that_match_cases_which_need_it() {
    let cases = embedded("contract").unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let all = names(&cases, &v1::Config::default()).expect("names");
    let needs = |run: &RunName, feature: &str| {
        let case = cases.iter().find(|case| case.name == run.case().as_str());
        let by_case = case.is_some_and(|case| case.features.iter().any(|one| one == feature));
        let value = |axis: &str| {
            let found = run.values().find(|(known, _)| known.as_str() == axis);
            found.map(|(_, value)| value)
        };
        let by_way = value("transport").is_some_and(|way| needed_for(way).contains(&feature));
        let by_count = feature == "concurrency" && value("concurrency") == Some("64");
        by_case || by_way || by_count
    };
    let told = rows("Features");
    let steps = rows("From there to all of it");
    for feature in features() {
        let is_of = |row: &&Vec<String>| codes(&row[0]).iter().any(|code| code == feature);
        assert!(
            told.iter().any(|row| is_of(&row)),
            "`{feature}` has no row in `Features`"
        );
        let row = steps.iter().find(is_of);
        let row = row.unwrap_or_else(|| panic!("`{feature}` is in no step"));
        let patterns = codes(row.last().expect("cells"));
        assert!(!patterns.is_empty(), "`{feature}` has no pattern");
        let mut found = false;
        for text in patterns {
            let pattern: Pattern = text.parse().unwrap_or_else(|error| panic!("{error}"));
            let runs = pattern
                .select(&all)
                .unwrap_or_else(|error| panic!("{error}"));
            found |= runs.iter().any(|run| needs(run, feature));
        }
        assert!(found, "no case of `{feature}`'s patterns needs it");
    }
}

/// How the page calls the type of a field; of JSON it says what is to stand there.
fn type_of(field: &FieldDescriptor) -> Option<String> {
    let value = |kind: Kind| match kind {
        Kind::String => Some("text".to_owned()),
        Kind::Uint64 => Some("number".to_owned()),
        Kind::Bool => Some("true, false".to_owned()),
        Kind::Message(message) => Some(format!("`{}`", message.name())),
        _ => None,
    };
    let many = |word: String| match &word[..] {
        "text" => "texts".to_owned(),
        _ => word,
    };
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let kind = entry.map_entry_value_field().kind();
            value(kind).map(|word| format!("{} by name", many(word)))
        }
        kind if field.is_list() => value(kind).map(|word| format!("list of {}", many(word))),
        kind => value(kind),
    }
}

#[test]
fn each_field_of_a_config_and_of_its_samples_has_its_row_with_its_type() {
    let page = page();
    for name in ["Config", "Samples", "Sample"] {
        let head =
            format!("\n| `{name}` | type | default | what it says |\n| --- | --- | --- | --- |\n");
        let (_, table) = page.split_once(&head).expect("the page has the table");
        let lines = table.lines().take_while(|line| line.starts_with('|'));
        let rows: Vec<Vec<&str>> = lines
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect();
        let message = message(name);
        for field in message.fields() {
            let own = format!("`{}`", field.name());
            let row = rows.iter().find(|row| row[0] == own);
            let row = row.unwrap_or_else(|| panic!("`{name}`: {own} has no row"));
            assert_eq!(row.len(), 4, "{row:?}");
            assert!(row[3].len() > 10, "`{name}`: {own}: what it says");
            if let Some(of) = type_of(&field) {
                assert_eq!(row[1], of, "`{name}`: {own}");
            }
        }
        assert_eq!(rows.len(), message.fields().count(), "a row is no field");
    }
}

#[test]
fn the_page_says_how_the_suite_is_built() {
    let command = "\n$ cargo build --release -p conveyor-conformance -p conveyor-cli\n";
    assert!(page().contains(command));
    // And with which compiler.
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(page().contains(&format!("Rust toolchain, {rust} or newer")));
}

#[test]
fn the_case_for_a_debugger_passes() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, driver) = mine(directory.path());
    let file = directory.path().join("held.yaml");
    std::fs::write(&file, block("yaml", "mine/held")).expect("written");
    let file = file.display().to_string();
    let chosen = ["run", "--case-file", &file, "--include", "mine/**"];
    let ran = suite(&[&chosen[..], &["--axes", "one", "--", &driver]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", out(&ran));
}

#[test]
fn the_case_for_engines_passes_and_a_slip_in_it_is_refused_where_the_page_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/testing-an-engine.md");
    let page = std::fs::read_to_string(file).expect("the page is there");
    let (_, case) = page.split_once("```yaml\n").expect("it has a case");
    let (case, _) = case.split_once("```").expect("it ends");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mine.yaml");
    std::fs::write(&file, case).expect("written");
    let file = file.display().to_string();
    let ran = suite(&["engine", "--case-file", &file, "--include", "mine/**"]);
    assert_eq!(ran.status.code(), Some(0), "{}", out(&ran));
    assert!(
        out(&ran).contains("1 case: 1 passed, 0 failed"),
        "{}",
        out(&ran)
    );
    let name = "mine/order/each-after-the-one-before";
    let mine = ["--case-file", &file];
    let listed = suite(&[&["list", "engine", "--include", "mine/**"][..], &mine].concat());
    assert_eq!(out(&listed).trim(), format!("{name}  SEMANTICS 1"));
    let described = out(&suite(&[&["describe", name][..], &mine].concat()));
    let flat: Vec<&str> = described.split_whitespace().collect();
    assert!(
        flat.join(" ").contains("which its driver holds"),
        "{described}"
    );
    std::fs::write(&file, case.replace("hold:", "holds:")).expect("written");
    for asked in [&["list", "engine"][..], &["describe", name]] {
        let refused = suite(&[asked, &mine].concat());
        assert_eq!(refused.status.code(), Some(2), "{asked:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("unknown field `holds`"), "{asked:?}: {said}");
    }
    let refused = suite(&["engine", "--case-file", &file]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let told = "mine.yaml:6:48: unknown field `holds`";
    assert!(said.contains(told) && page.contains(told), "{said}");
}

/// A driver that talks as JSON alone, whatever it is asked for, and one that ends where it is asked for anything else.
#[test]
fn without_a_config_each_way_to_talk_is_tried_until_one_is_met() {
    let directory = tempfile::tempdir().expect("a directory");
    let driver = directory.path().join("driver.py");
    std::fs::write(&driver, block("python", "interpret")).expect("written");
    let driver = driver.display();
    let picky = r#"[ "$CONVEYOR_CONFORMANCE_TRANSPORT" = rest ] || exit 3"#;
    for script in [
        format!("exec python3 {driver}"),
        format!("{picky}; exec python3 {driver}"),
    ] {
        let chosen = [
            "run",
            "--include",
            "results/success/outputs",
            "--axes",
            "one",
        ];
        let ran = suite(&[&chosen[..], &["--", "bash", "-c", &script]].concat());
        assert_eq!(ran.status.code(), Some(0), "{script}: {}", out(&ran));
        assert!(out(&ran).contains("2 cases: 2 passed, 0 failed"));
    }
    assert!(page().contains("starts it with the transport `stream`"));
}

/// The page says which schema the suite wants of the driver: as its own sample of one has it.
#[test]
fn the_schema_on_the_page_is_that_of_its_driver() {
    let python = block("python", "SCHEMA = ");
    let schema = python
        .lines()
        .find_map(|line| line.strip_prefix("SCHEMA = "));
    let schema = schema.expect("the driver has one");
    assert!(page().contains(&format!("\n`{schema}`")), "{schema}");
}

#[test]
fn a_task_on_the_page_has_the_fields_of_the_contract() {
    let task: Value = serde_json::from_str(&block("json", "time_left_ms")).expect("JSON");
    let pool = DescriptorPool::decode(conveyor_proto::DESCRIPTORS).expect("descriptors");
    let of = pool
        .get_message_by_name("conveyor.v1.Task")
        .expect("a message");
    for name in task.as_object().expect("an object").keys() {
        assert!(
            of.get_field_by_name(name).is_some(),
            "a task has no `{name}`"
        );
    }
}

#[test]
fn each_status_and_each_kind_of_report_has_its_row() {
    let page = page();
    for status in ["\n| 0 | ", "\n| 1 | ", "\n| 2 | "] {
        assert!(page.contains(status), "{status}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().display().to_string();
    // Nothing is run: the reports are there all the same.
    let status = suite(&["run", "--report-dir", &place, "--", "/nowhere/driver"]);
    assert_eq!(status.status.code(), Some(2));
    let kinds = rows("Reading the result");
    let mut told: Vec<String> = kinds.iter().flat_map(|row| codes(&row[1])).collect();
    let entries = std::fs::read_dir(directory.path()).expect("it is there");
    let mut written: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    told.retain(|name| name.contains('.'));
    told.sort();
    written.sort();
    assert_eq!(told, written);
}

/// The case of the page in a file, and the driver that it is run against.
fn mine(directory: &Path) -> (String, String) {
    let file = directory.join("mine.yaml");
    std::fs::write(&file, block("yaml", "mine/retry")).expect("written");
    let own = PathBuf::from(env!("CARGO_BIN_EXE_conveyor-conformance"));
    let driver = own.with_file_name("conveyor-conformance-raw");
    assert!(driver.is_file(), "{} is not built", driver.display());
    (file.display().to_string(), driver.display().to_string())
}

#[test]
fn the_case_of_one_s_own_is_listed_described_and_passes() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, driver) = mine(directory.path());
    let name = "mine/retry/second-attempt-succeeds";
    let listed = out(&suite(&[
        "list",
        "--case-file",
        &file,
        "--include",
        "mine/**",
    ]));
    assert_eq!(listed.trim(), format!("{name}  R25 R29  (logs)"));
    let described = out(&suite(&["describe", "--case-file", &file, name]));
    let flat: Vec<&str> = described.split_whitespace().collect();
    assert!(
        flat.join(" ").contains("(the first attempt)"),
        "{described}"
    );
    let ran = suite(&[
        "run",
        "--case-file",
        &file,
        "--include",
        "mine/**",
        "--axes",
        "all",
        "--",
        &driver,
    ]);
    assert_eq!(ran.status.code(), Some(0), "{}", out(&ran));
    // The first meeting, and a run over each way to talk that it declares.
    assert!(
        out(&ran).contains("2 cases: 3 passed, 0 failed"),
        "{}",
        out(&ran)
    );
}

#[test]
fn a_slip_in_it_is_refused_where_the_page_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mine.yaml");
    let text = block("yaml", "mine/retry").replace("R29", "R99");
    std::fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    for arguments in [
        &["list", "--case-file", &file][..],
        &["describe", "--case-file", &file, "a/b/c"],
        &["run", "--case-file", &file, "--", "/nowhere/driver"],
    ] {
        let output = suite(arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("mine.yaml:4:21: there is no rule `R99`"),
            "{said}"
        );
        assert!(page().contains("mine.yaml:4:21: there is no rule `R99`"));
    }
}

#[test]
fn what_the_page_asks_list_and_describe_is_there() {
    let page = page();
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ conveyor-conformance "));
    let mut asked = 0;
    for line in lines {
        let line = line.split(" # ").next().unwrap_or_default().trim();
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_matches('\''))
            .collect();
        let of_a_file = words.contains(&"--case-file");
        if !matches!(words[0], "list" | "describe") || of_a_file {
            continue;
        }
        asked += 1;
        let output = suite(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line}: {said}");
        assert!(out(&output).len() > 20, "{line}: {}", out(&output));
    }
    assert!(asked >= 5, "only {asked}");
}

#[test]
fn list_and_describe_refuse_what_is_not_there_by_name() {
    for (arguments, told) in [
        (
            &["list", "--feature", "log"][..],
            "--feature log: it is none of core, stream",
        ),
        (
            &["list", "--transport", "http"],
            "--transport http: it is none of tcp",
        ),
        (
            &["list", "engine", "--feature", "logs"],
            "an engine's cases have none",
        ),
        (
            &[
                "list",
                "--feature",
                "logs",
                "--requirement",
                "R3",
                "--transport",
                "rest",
            ],
            "no case of profile contract cites R3 and needs the feature logs and is run over rest",
        ),
        (
            &["describe", "logs/order/thousand-line"],
            "logs/order/thousand-lines",
        ),
        (
            &["describe", "logs/order/slowly[transport:nope]"],
            "and not with `nope`",
        ),
        (
            &["describe", "logs/order/slowly[colour:red]"],
            "no axis `colour`",
        ),
        (&["describe", "logs/**"], "--include 'logs/**'"),
    ] {
        let output = suite(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn list_and_describe_have_the_same_as_json() {
    let listed = out(&suite(&[
        "list",
        "--json",
        "--feature",
        "core",
        "--transport",
        "rest",
    ]));
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    assert!(listed.len() > 50, "{}", listed.len());
    for row in &listed {
        assert_eq!(row["features"], Value::Array(Vec::new()), "{row}");
        let over = row["transports"].as_array().expect("a list");
        assert!(over.contains(&Value::from("rest")), "{row}");
    }
    let name = listed[0]["name"].as_str().expect("a name");
    let described = out(&suite(&["describe", "--json", name]));
    let described: Value = serde_json::from_str(&described).expect("JSON");
    assert_eq!(described["name"], name);
    assert_eq!(described["purpose"], listed[0]["purpose"]);
    assert!(!described["procedure"].as_array().expect("steps").is_empty());
    let engine = out(&suite(&["list", "engine", "--json"]));
    let engine: Vec<Value> = serde_json::from_str(&engine).expect("JSON");
    let name = engine[0]["name"].as_str().expect("a name");
    assert!(suite(&["describe", name]).status.success());
}

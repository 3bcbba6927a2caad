//! `docs/states.md` shows the tables that the code runs on.

use conveyor_engine::run::table::{self, Event, RunEvent};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# States\n\n\
Generated from `core/engine/src/run/table.rs` by a test; `UPDATE_DOCS=1 cargo test -p conveyor-engine` \
writes it anew. Every change of state is a row: a change that is none quarantines the run.\n";

fn tables() -> String {
    let mut text = String::from(HEAD);
    text.push_str("\n## Step instances\n\n| from | on | to |\n| --- | --- | --- |\n");
    for (from, event, to) in table::INSTANCE {
        let _ = writeln!(text, "| `{from}` | {} | `{to}` |", event.as_str());
    }
    text.push_str("\n## Runs\n\n| from | on | to |\n| --- | --- | --- |\n");
    for (from, event, to) in table::RUN {
        let _ = writeln!(text, "| `{from}` | {} | `{to}` |", event.as_str());
    }
    text
}

#[test]
fn the_document_shows_the_tables_that_the_code_runs_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    let tables = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &tables).expect("docs/states.md is writable");
    }
    let found = std::fs::read_to_string(&path).expect("docs/states.md exists");
    assert_eq!(found, tables, "run with UPDATE_DOCS=1 to write it anew");
}

#[test]
fn every_event_has_a_row_and_nothing_leaves_a_terminal_state() {
    for event in Event::ALL {
        assert!(
            table::INSTANCE.iter().any(|row| row.1 == *event),
            "{event:?}"
        );
    }
    for event in RunEvent::ALL {
        assert!(table::RUN.iter().any(|row| row.1 == *event), "{event:?}");
    }
    assert!(table::INSTANCE.iter().all(|row| !row.0.is_terminal()));
    assert!(table::RUN.iter().all(|row| !row.0.is_terminal()));
}

//! The program without the feature `planted`. With it, `make test` plants every fault.

use std::process::Command;

#[test]
fn a_simulator_without_the_feature_refuses_to_plant_and_says_how_to_build_one() {
    for name in ["all", "list", "timers-lost-in-fold"] {
        let program = Command::new(env!("CARGO_BIN_EXE_conveyor-sim"))
            .args(["--planted", name])
            .output()
            .expect("the program starts");
        let said = String::from_utf8(program.stdout).expect("it writes UTF-8");
        assert_eq!(program.status.code(), Some(2), "{said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains(&format!("--planted {name}")), "{first}");
        assert!(first.contains("without the feature `planted`"), "{first}");
        let build = "cargo run --release -p conveyor-sim --features planted -- --planted";
        assert!(said.contains(&format!("{build} {name}")), "{said}");
    }
}

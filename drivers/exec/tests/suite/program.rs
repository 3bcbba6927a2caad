//! The program's own options.

use std::process::Command;

fn run(args: &[&str], url: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor-driver-exec"));
    command
        .args(args)
        .env("NO_COLOR", "1")
        .env_remove("CONVEYOR_URL");
    if let Some(url) = url {
        command.env("CONVEYOR_URL", url);
    }
    let output = command.output().expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

#[test]
fn an_address_that_cannot_be_is_refused_by_the_name_of_its_option() {
    for url in ["junk", "ftp://127.0.0.1:7420", "http://127.0.0.1:74200"] {
        for (status, said) in [run(&["--server", url], None), run(&[], Some(url))] {
            assert_eq!(status, Some(2), "{said}");
            for part in ["--server", &format!("`{url}`"), "http://HOST:PORT"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
}

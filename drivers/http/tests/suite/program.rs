//! The program's own options.

use std::process::Command;

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conveyor-driver-http"))
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn an_option_that_is_wrong_is_refused_with_its_value() {
    for (args, said) in [
        (["--allow-net", "10.0.0.0/33"], "`10.0.0.0/33`"),
        (["--allow-host", "http://x"], "`http://x`"),
        (["--ca-file", "/there/is/none.pem"], "/there/is/none.pem"),
        (["--capacity", "0"], "1..=10000"),
        (
            ["--server", "junk"],
            "`junk` has no scheme; an address is `http://HOST:PORT`",
        ),
        (["--server", "ftp://127.0.0.1"], "`ftp`"),
    ] {
        let (status, out) = run(&args);
        assert_eq!(status, Some(2), "{out}");
        assert!(out.contains(said) && out.contains(args[0]), "{out}");
    }
}

#[test]
fn the_help_says_what_is_closed() {
    let (status, out) = run(&["--help"]);
    assert_eq!(status, Some(0));
    for said in [
        "Examples:",
        "--allow-host",
        "--allow-net",
        "No proxy is used",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
}

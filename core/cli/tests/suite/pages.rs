//! What pages of the documentation say to type and to write, as it stands there.

use crate::program::root;
use crate::site::{Background, Site, driver_program};
use std::path::Path;
use std::process::Command;

/// A page of the repository.
pub(crate) fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A page's fenced blocks of a language.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    let text = blocks.filter_map(|rest| rest.split("```").next());
    text.map(str::to_owned).collect()
}

/// What `PATH` is where the programs that were built lie on it.
pub(crate) fn path() -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_conveyor")).parent();
    let programs = programs.expect("a directory").display();
    format!(
        "{programs}:{}",
        std::env::var("PATH").expect("there is one")
    )
}

/// What a shell is to run beside the programs that were built.
fn shell(dir: &Path, name: &str, script: &str) -> Command {
    let mut shell = Command::new(name);
    shell
        .args(["-ec", script])
        .current_dir(dir)
        .env("PATH", path())
        .env("NO_COLOR", "1");
    shell
}

/// What a script said, which ended well.
#[track_caller]
fn said(dir: &Path, script: &str) -> String {
    let output = shell(dir, "sh", script).output().expect("there is a shell");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {err}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Fails where a program that a page takes for granted is not there.
#[track_caller]
pub(crate) fn needs(programs: &[&str]) {
    for program in programs {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output();
        let found = found.expect("there is a shell").status.success();
        assert!(found, "this test needs the program `{program}`");
    }
}

#[test]
fn the_contracts_driver_in_ten_lines_does_its_work() {
    needs(&["bash", "curl"]);
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: greet}
spec:
  steps:
    - {id: greet, driver: greet, action: hello, with: {token: 'none of its own'}}
";
    let blocks = blocks(&page("docs/driver-contract.md"), "bash");
    let [driver] = &blocks[..] else {
        panic!("one driver: {blocks:?}");
    };
    assert_eq!(driver.lines().count(), 10, "{driver}");
    let mut site = Site::new(&[("greet.yaml", document)]);
    let _server = site.serve();
    let runs = [site.start("greet.yaml"), site.start("greet.yaml")];
    let mut command = shell(site.dir.path(), "bash", driver);
    let _driver = Background::start(command.env("CONVEYOR_URL", &site.url));
    for run in runs {
        let view = site.ended(&run);
        assert_eq!(view["state"], "succeeded", "{view:#}");
        assert_eq!(site.log(&run), "greet | hello from bash\n");
    }
}

#[test]
fn the_documents_of_the_pages_are_taken() {
    const PIPELINE: &str = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: page}\n";
    let steps = format!(
        "{PIPELINE}spec:\n  inputs: {{type: object, properties: {{version: {{type: string}}}}}}\n  steps:\n"
    );
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let _exec = site.driver();
    let http = driver_program().with_file_name("conveyor-driver-http");
    assert!(http.exists(), "`make test` builds {}", http.display());
    let mut http = Command::new(http);
    http.args(["--server", &site.url]).env("NO_COLOR", "1");
    let mut http = Background::start(&mut http);
    http.line(&["connected"]);
    for path in [
        "docs/resources.md",
        "docs/secrets.md",
        "docs/drivers/exec.md",
        "docs/drivers/http.md",
    ] {
        let blocks = blocks(&page(path), "yaml");
        assert!(!blocks.is_empty(), "{path} shows a document");
        for block in blocks {
            // A page shows as much of a document as it is about.
            let document = match &block {
                whole if whole.starts_with("apiVersion:") => whole.clone(),
                spec if spec.starts_with("spec:") => format!("{PIPELINE}{spec}"),
                list => {
                    let list = list.lines().map(|line| format!("    {line}\n"));
                    format!("{steps}{}", list.collect::<String>())
                }
            };
            std::fs::write(site.dir.path().join("page.yaml"), &document).expect("it is writable");
            let applied = site.conveyor(&["apply", "-f", "page.yaml"]);
            assert_eq!(applied.status, 0, "{path}: {}\n{document}", applied.err);
            assert_eq!(applied.err, "", "{path}: no warning either\n{document}");
        }
    }
}

#[test]
fn the_operators_commands_back_a_server_up_and_restore_it() {
    let mut site = Site::new(&[]);
    let blocks = blocks(&page("docs/operating.md"), "sh");
    let [backup, restore] = &blocks[..] else {
        panic!("a backup, and what is made of it: {blocks:?}");
    };
    let dir = site.dir.path().to_owned();
    std::fs::create_dir(dir.join("backups")).expect("it is writable");
    let state = dir.join("state");
    let data = state.join("conveyor");
    let _server = site.serve_with(&data.display().to_string(), &[]);
    let here = |block: &str| {
        let block = block
            .replace("/backups", "backups")
            .replace("http://127.0.0.1:7420", &site.url)
            .replace("/var/lib/", "");
        format!("export XDG_STATE_HOME={}\n{block}", state.display())
    };
    said(&dir, &here(backup));
    let made = std::fs::read_dir(dir.join("backups")).expect("it is there");
    assert_eq!(made.count(), 1, "one of the default directory");
    // The last line goes on until it is told to end.
    let restore = here(restore);
    let (restore, serve) = restore.trim().rsplit_once('\n').expect("two lines");
    said(&dir, restore);
    let serve = format!("exec {serve} --listen 127.0.0.1:0");
    let mut server = Background::start(&mut shell(&dir, "sh", &serve));
    server.line(&["listening", "conveyor-restored"]);
}

#[test]
fn the_pages_commands_make_certificates_and_tokens_that_come_in() {
    needs(&["openssl", "curl"]);
    let site = Site::new(&[]);
    let dir = site.dir.path();
    // Names that nobody here can look up, and places that belong to others.
    let here = page("docs/authentication.md")
        .replace("conveyor.example.com", "localhost")
        .replace("/var/lib/conveyor", "data");
    let blocks = blocks(&here, "sh");
    let [serve, tokens, authority, request] = &blocks[..] else {
        panic!("four of them: {blocks:?}");
    };
    said(dir, authority);
    said(
        dir,
        "cp localhost.pem server.pem && cp localhost.key server.key",
    );
    let joined = serve
        .replace("\\\n", "")
        .replace("0.0.0.0:7420", "127.0.0.1:0");
    let lines: Vec<_> = joined.lines().collect();
    let [serve, create, driver] = &lines[..] else {
        panic!("a server, a token and a driver: {lines:?}");
    };
    let mut server = Background::start(&mut shell(dir, "sh", &format!("exec {serve}")));
    let line = server.line(&["listening", "https://127.0.0.1:"]);
    let port = line.split("https://127.0.0.1:").nth(1);
    let port = port
        .and_then(|rest| rest.split('"').next())
        .expect("it has a port");
    said(dir, create);
    let driver = format!("exec {}", driver.replace("7420", port));
    let mut driver = shell(dir, "sh", &driver);
    let mut driver = Background::start(driver.env("CONVEYOR_CA", "ca.pem"));
    driver.line(&["connected"]);
    let own = |script: &str| -> String {
        let lines = script
            .lines()
            .map(|line| format!("{line} --data-dir data\n"));
        lines.collect()
    };
    said(dir, "conveyor namespaces create team-a --data-dir data");
    let (create, rest) = tokens.split_once('\n').expect("three lines");
    said(dir, &own(create));
    let told = said(dir, &request.replace("7420", port));
    assert!(told.contains("\"runs\":[]"), "{told}");
    let token = std::fs::read_to_string(dir.join("release.token")).expect("it was made");
    let id = token.split('_').nth(1).expect("it has an id");
    let listed = said(dir, &own(&rest.replace("3f6c2b7a9d01e45c", id)));
    assert!(listed.contains("release-bot"), "{listed}");
    // It does not hold any more: curl says so with its status.
    let refused = shell(dir, "sh", &request.replace("7420", port));
    let refused = { refused }.output().expect("there is a shell");
    let refused = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(refused.contains("\"status\":401"), "{refused}");
}

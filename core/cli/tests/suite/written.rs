//! What a driver's process was told before it was killed.

use crate::acknowledged::{lines, text};
use crate::pages::needs;
use crate::site::{PATIENCE, Site};
use crate::tally;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A task that talks for as long as it is there.
const PIPELINE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: talks}
spec:
  defaults: {timeouts: {heartbeat: 2s}, retry: {lost: 50}}
  steps:
    - {id: say, driver: exec, grace: 1s, foreach: {items: '${{ lists.range(8) }}'}, with: {run: x}}
";
const INSTANCES: usize = 8;
/// A driver of one task in bash: it writes down each line once the server said that it has it.
const DRIVER: &str = r#"
URL=$1 ACKED=$2
say() { curl -sf -H 'content-type: application/json' -d "$2" "$URL/v1/driver/$1"; }
of() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
welcome=$(say register '{"hello": {"driver": "exec", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 1}}') || exit 1
me="\"session\": \"$(of session <<<"$welcome")\", \"resume_secret\": \"$(of resume_secret <<<"$welcome")\""
polled=$(say poll "{$me, \"request_id\": \"r\", \"wait_ms\": 30000}") || exit 1
token=$(of token <<<"$polled") instance=$(of instance <<<"$polled") attempt=$(of attempt <<<"$polled")
say answer "{$me, \"answers\": [{\"token\": \"$token\", \"accepted\": {}}]}" >/dev/null || exit 1
for ((line = 0; ; line++)); do
    logs="{\"token\": \"$token\", \"first_offset\": $line, \"lines\": [{\"text\": \"$instance $attempt $line\"}]}"
    say logs "{\"logs\": $logs}" >/dev/null || exit 1
    echo "$instance $attempt $line" >>"$ACKED"
done
"#;

struct Driver(Child);

impl Driver {
    fn start(site: &Site, script: &Path, acked: &Path) -> Driver {
        let mut command = Command::new("bash");
        command.arg(script).arg(&site.url).arg(acked);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Driver(command.spawn().expect("bash starts"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // By SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many lines of each attempt its driver has written down: their numbers follow each other.
fn written(acked: &Path) -> BTreeMap<(u64, u64), u64> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(acked).unwrap_or_default().lines() {
        let numbers: Vec<u64> = line
            .split(' ')
            .map(|word| word.parse().expect("a number"))
            .collect();
        let [instance, attempt, number] = numbers[..] else {
            panic!("{line:?}");
        };
        let count: &mut u64 = counts.entry((instance, attempt)).or_default();
        assert_eq!(number, *count, "{line}");
        *count += 1;
    }
    counts
}

/// Takes about 15 s.
#[test]
fn lines_that_a_driver_was_told_of_stay_when_it_is_killed() {
    needs(&["bash", "curl", "sed"]);
    let mut site = Site::new(&[("talks.yaml", PIPELINE), ("driver.sh", DRIVER)]);
    let mut server = site.serve();
    let run = site.start("talks.yaml");
    let (script, acked) = (
        site.dir.path().join("driver.sh"),
        site.dir.path().join("acked"),
    );
    let mut drivers: Vec<_> = (0..INSTANCES)
        .map(|_| Driver::start(&site, &script, &acked))
        .collect();
    // One after the other is killed at a moment of its own, and another takes its place.
    let (mut killed, deadline) = (0, Instant::now() + 2 * PATIENCE);
    while killed < 2 * INSTANCES {
        assert!(Instant::now() < deadline, "{:?}", written(&acked));
        let before: u64 = written(&acked).values().sum();
        let more = 3 + killed as u64 % 7;
        while written(&acked).values().sum::<u64>() < before + more {
            assert!(Instant::now() < deadline, "{:?}", written(&acked));
            std::thread::sleep(Duration::from_millis(2));
        }
        drivers[killed % INSTANCES] = Driver::start(&site, &script, &acked);
        killed += 1;
    }
    drop(drivers);
    // What a new process tells is what is durable.
    server.kill();
    let mut again = site.serve_again();
    again.line(&["listening"]);
    let (there, written) = (lines(&site, &run), written(&acked));
    for (attempt, count) in &written {
        let said = there.get(attempt).cloned().unwrap_or_default();
        // One more may have come that its driver was not told of any more.
        assert!(
            (*count..=*count + 1).contains(&(said.len() as u64)),
            "{attempt:?}: {count} of {said:?}"
        );
        let whole: Vec<_> = (0..said.len() as u64)
            .map(|line| text(*attempt, line))
            .collect();
        assert_eq!(said, whole, "{attempt:?}");
    }
    assert!(written.len() > INSTANCES, "no attempt followed another");
    const TEST: &str = "drivers whose processes are killed while they talk";
    let acknowledged: u64 = written.values().sum();
    tally::done(TEST, "kills of drivers", killed);
    tally::done(
        TEST,
        "log lines that were acknowledged",
        acknowledged as usize,
    );
    tally::held(TEST, "each acknowledged line is there, in order and once");
}

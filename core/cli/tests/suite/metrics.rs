//! `/metrics`: what is counted, and that its table tells of it.

use crate::program::root;
use crate::serve::GATED;
use crate::site::Site;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The figures by name with labels, and the types by name.
pub(crate) fn scrape(site: &Site) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the server answers");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is read");
    let (head, body) = text.split_once("\r\n\r\n").expect("it has a head");
    assert!(
        head.contains("200 OK") && head.contains("text/plain; version=0.0.4"),
        "{head}"
    );
    let (mut figures, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(
                types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value = value
                .parse()
                .unwrap_or_else(|_| panic!("{line} has a number"));
            assert!(
                figures.insert(name.to_owned(), value).is_none(),
                "{name} twice"
            );
        }
    }
    (figures, types)
}

#[test]
fn a_run_is_counted_from_its_start_to_its_end() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let run = site.start("gated.yaml");
    let figures = scrape(&site).0;
    let of = |figures: &BTreeMap<String, f64>, name: &str| {
        *figures
            .get(name)
            .unwrap_or_else(|| panic!("{name} among {figures:#?}"))
    };
    assert_eq!(of(&figures, "conveyor_runs{state=\"running\"}"), 1.0);
    assert_eq!(of(&figures, "conveyor_runs_without_driver"), 1.0);
    let driver = site.driver();
    site.until(&run, "running", |_| site.log(&run).contains("begun"));
    let figures = scrape(&site).0;
    for (name, value) in [
        ("conveyor_ready", 1.0),
        ("conveyor_runs_without_driver", 0.0),
        ("conveyor_runs_started_total", 1.0),
        ("conveyor_sessions{state=\"connected\"}", 1.0),
        ("conveyor_tasks_claimed", 1.0),
        ("conveyor_queue_depth{driver=\"exec\"}", 0.0),
        ("conveyor_log_lines_total", 1.0),
        ("conveyor_log_bytes_total", 5.0),
        ("conveyor_step_schedule_to_start_seconds_count", 1.0),
        ("conveyor_step_to_step_seconds_count", 0.0),
        ("conveyor_steps_ended_total{state=\"succeeded\"}", 0.0),
    ] {
        assert_eq!(of(&figures, name), value, "{name}");
    }
    // The state is known to the next server, too.
    server.kill();
    let _server = site.serve();
    assert_eq!(
        of(&scrape(&site).0, "conveyor_runs{state=\"running\"}"),
        1.0
    );
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    assert_eq!(site.ended(&run)["state"], "succeeded");
    let figures = scrape(&site).0;
    for (name, value) in [
        ("conveyor_runs{state=\"running\"}", 0.0),
        ("conveyor_runs_ended_total{state=\"succeeded\"}", 1.0),
        ("conveyor_runs_ended_total{state=\"failed\"}", 0.0),
        ("conveyor_steps_ended_total{state=\"succeeded\"}", 2.0),
        ("conveyor_attempts_ended_total{state=\"succeeded\"}", 2.0),
        ("conveyor_step_schedule_to_start_seconds_count", 1.0),
        ("conveyor_step_to_step_seconds_count", 1.0),
        ("conveyor_commits_failed_total", 0.0),
        ("conveyor_runs_in_memory", 0.0),
    ] {
        assert_eq!(of(&figures, name), value, "{name}");
    }
    for name in [
        "conveyor_commit_seconds_count",
        "conveyor_commit_bytes_sum",
        "conveyor_log_commit_seconds_count",
        "conveyor_store_bytes",
        "conveyor_start_time_seconds",
    ] {
        assert!(of(&figures, name) > 0.0, "{name}");
    }
    let every = "conveyor_step_to_step_seconds_bucket{le=\"+Inf\"}";
    assert_eq!(of(&figures, every), 1.0);
    drop(driver);
}

#[test]
fn the_table_of_metrics_is_what_is_scraped() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let types = scrape(&site).1;
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).expect("it is there");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), cells.next()?.to_owned()))
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), types.into_iter().collect());
}

//! Pipelines that change while runs of theirs go on.

use crate::serve::GATED;
use crate::site::Site;
use crate::verbs::told;

#[test]
fn a_run_goes_on_with_the_document_that_it_began_with() {
    let anew = GATED
        .replace("echo second", "echo other")
        .replace("while ! test -e go; do sleep 0.05; done; ", "");
    let more = "  - {id: third, name: third, driver: exec, with: {run: echo third}}\n";
    let mut site = Site::new(&[
        ("gated.yaml", GATED),
        ("anew.yaml", &format!("{anew}{more}")),
    ]);
    let _server = site.serve();
    let _driver = site.driver();
    let apply = |file: &str| {
        let applied = site.conveyor(&["apply", "-f", file]);
        assert_eq!(applied.status, 0, "{}", applied.err);
        told(&site, &["pipelines", "show", "gated"])["digest"].clone()
    };
    let start = || {
        let run = told(&site, &["start", "gated"])["id"].clone();
        run.as_str().expect("it has an id").to_owned()
    };
    let old = apply("gated.yaml");
    let before = start();
    site.until(&before, "running", |_| site.log(&before).contains("begun"));
    let new = apply("anew.yaml");
    assert_ne!(old, new);
    let after = start();
    let view = site.ended(&after);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    assert_eq!(view["digest"], new, "{view:#}");
    assert!(
        site.log(&after).contains("second | other"),
        "{}",
        site.log(&after)
    );
    assert!(
        site.log(&after).contains("third | third"),
        "{}",
        site.log(&after)
    );
    // The first one waits in its first step, and has not seen any of it.
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let view = site.ended(&before);
    assert_eq!(view["state"], "succeeded", "{view:#}");
    assert_eq!(view["digest"], old, "{view:#}");
    assert_eq!(view["steps"].as_array().map(Vec::len), Some(2), "{view:#}");
    assert_eq!(
        site.log(&before),
        "first | begun\nfirst | done\nsecond | second\n"
    );
}

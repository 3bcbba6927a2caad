use crate::program::{RELEASE, conveyor, files};
use std::fmt::Write;

#[test]
fn people_see_order_instances_and_the_critical_path() {
    let dir = files(&[("p.yaml", RELEASE)]);
    let ended = conveyor(dir.path(), &["plan", "p.yaml"]);
    assert_eq!(ended.status, 0, "{}", ended.err);
    for text in [
        "order     graph",
        "matrix over os × node: 3 instances",
        "node=20 os=linux",
        "instances depend on inputs",
        "if image.failed · handles image",
        "critical path (4 steps)\n  checkout → test → image → ",
    ] {
        assert!(ended.out.contains(text), "no `{text}` in:\n{}", ended.out);
    }
    assert!(!ended.out.contains("os=mac node=20") && !ended.out.contains("node=20 os=mac"));
    assert!(
        ended.err.contains("warning: step `checkout`"),
        "{}",
        ended.err
    );
}

#[test]
fn inputs_expand_what_depends_on_them() {
    let dir = files(&[("p.yaml", RELEASE), ("in.yaml", "ref: main\ncopies: 5\n")]);
    let args = [
        "plan", "p.yaml", "--inputs", "in.yaml", "-i", "copies=3", "-o", "json",
    ];
    let ended = conveyor(dir.path(), &args);
    let json: serde_json::Value = serde_json::from_str(&ended.out).expect("is JSON");
    let copies = json["steps"]
        .as_array()
        .and_then(|all| all.iter().find(|s| s["id"] == "copies"));
    assert_eq!(
        copies.expect("is a step")["fan"]["instances"],
        serde_json::json!([0, 1, 2])
    );
    assert_eq!(json["ordering"], "graph");
}

#[test]
fn inputs_that_break_their_schema_are_refused_all_at_once() {
    let dir = files(&[("p.yaml", RELEASE)]);
    let ended = conveyor(dir.path(), &["plan", "p.yaml", "-i", "copies=0"]);
    assert_eq!(ended.status, 2);
    assert!(ended.err.contains("/copies"), "{}", ended.err);
    assert!(ended.err.contains("ref"), "{}", ended.err);
    assert_eq!(ended.out, "");
}

#[test]
fn listed_steps_are_said_to_be_listed() {
    let text =
        "name: seed\nsteps:\n  - {id: a, name: A, driver: exec}\n  - {id: b, driver: exec}\n";
    let dir = files(&[("p.yaml", text)]);
    let ended = conveyor(dir.path(), &["plan", "p.yaml"]);
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.out.contains("order     listed"), "{}", ended.out);
    assert!(ended.out.contains("b  exec  after a"), "{}", ended.out);
}

#[test]
fn each_drawing_has_every_step_and_edge() {
    let dir = files(&[("p.yaml", RELEASE)]);
    let draw = |format| conveyor(dir.path(), &["plan", "p.yaml", "-o", format]).out;
    let mermaid = draw("mermaid");
    assert!(mermaid.starts_with("flowchart "), "{mermaid}");
    assert_eq!(
        mermaid.matches("-->").count() + mermaid.matches("==>").count(),
        4,
        "{mermaid}"
    );
    assert!(mermaid.contains("-.->|handles|"), "{mermaid}");
    let dot = draw("dot");
    assert_eq!(dot.matches(" -> ").count(), 5, "{dot}");
    assert!(dot.contains("cluster_finally"), "{dot}");
    let svg = draw("svg");
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    for id in [
        "checkout", "test", "image", "soak", "copies", "undo", "notify",
    ] {
        assert!(
            svg.contains(&format!(">{id}</text>")),
            "{id} is not in the picture"
        );
    }
    assert_eq!(svg.matches("marker-end").count(), 5);
}

#[test]
fn a_picture_that_nobody_could_read_is_refused_with_its_limit() {
    let mut text = String::from("name: many\nsteps:\n");
    for step in 0..2_001 {
        let _ = writeln!(text, "  - {{id: s{step}, driver: exec}}");
    }
    let dir = files(&[("p.yaml", &text)]);
    let ended = conveyor(dir.path(), &["plan", "p.yaml", "-o", "svg"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .err
            .contains("at most 2000 steps, this document has 2001"),
        "{}",
        ended.err
    );
    assert_eq!(
        conveyor(dir.path(), &["plan", "p.yaml", "-o", "dot"]).status,
        0
    );
}

#[test]
fn colours_come_only_where_they_are_asked_for() {
    let dir = files(&[("p.yaml", RELEASE)]);
    assert!(
        !conveyor(dir.path(), &["plan", "p.yaml"])
            .out
            .contains('\x1b')
    );
    assert!(
        conveyor(dir.path(), &["plan", "p.yaml", "--color", "always"])
            .out
            .contains('\x1b')
    );
}

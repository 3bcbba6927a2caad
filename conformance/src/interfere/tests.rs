//! Which interference fits which message, and what is told of one that never happened.

use super::{Fate, Interferences, Way};
use crate::v1;
use crate::v1::interfere::How;
use crate::wire::{From, Record, Said};
use prost::bytes::Bytes;
use serde_json::json;

/// What is wrong with a case that has these steps, and a task, by these ways, as the reader of cases tells it.
fn refused(transports: &str, steps: &str) -> Vec<String> {
    let text = format!(
        "cases:\n  - name: a/b/c\n    purpose: it is.\n    requires: [R1]\n    axes: {{transports: [{transports}]}}\n    script: [{{run: {{tasks: [{{}}]}}}}, {steps}]\n"
    );
    crate::read_cases("a.yaml", &text).err().unwrap_or_default()
}

#[test]
fn an_interference_that_fits_no_message_is_refused_by_its_name() {
    let cases = [
        (
            "tcp",
            "{message: {kind: report}, later: true}",
            "`later` has no meaning for a message of a stream: what a later contract has is added to the engine's",
            "/interfere)",
        ),
        (
            "unary",
            "{message: {kind: report}, later: true}",
            "`later` has no meaning for a call: what a later",
            "/interfere)",
        ),
        (
            "rest",
            "{message: {from: engine, kind: task}, later: true}",
            "`later` has no meaning for a call of REST: JSON is read strictly",
            "/interfere)",
        ),
        (
            "unary",
            "{message: {from: engine, kind: outcome}, status: internal}",
            "`status` has no meaning for a call: it is for the driver's calls",
            "/interfere)",
        ),
        (
            "rest",
            "{message: {from: engine, kind: outcome}, lose_answer: true}",
            "`lose_answer` has no meaning for a call of REST: it is for the driver's calls",
            "/interfere)",
        ),
        (
            "unary, tls",
            "{message: {kind: report}, status: internal}",
            "`status` has no meaning for a message of a stream: a message of a stream has no answer",
            "/interfere)",
        ),
        (
            "unix",
            "{message: {kind: report}, lose_answer: true}",
            "`lose_answer` has no meaning for a message of a stream: a message of a stream has no answer",
            "/interfere)",
        ),
        (
            "unary",
            "{message: {from: engine, kind: outcome}, double: true}",
            "`double` has no meaning for a call: a call is answered once",
            "/interfere)",
        ),
        (
            "rest",
            "{message: {from: engine}, double: true}",
            "`double` has no meaning for a call of REST: a call is answered once",
            "/interfere)",
        ),
        (
            "unary",
            "{message: {kind: poll}, change: {max_tasks: 1}}",
            "`change` has no meaning for a call: a poll is left",
            "/interfere)",
        ),
        (
            "tcp, unary",
            "{message: {kind: poll}, drop: true}",
            "there is no `poll` by `tcp`, `tls` and `unix`",
            "/interfere/message/kind)",
        ),
        (
            "tcp, unary",
            "{message: {kind: credits}, drop: true}",
            "there is no `credits` by `unary`",
            "/interfere/message/kind)",
        ),
        (
            "rest",
            "{message: {from: engine, kind: log_window}, drop: true}",
            "there is no `log_window` by `rest`",
            "/interfere/message/kind)",
        ),
        (
            "tcp",
            "{message: {kind: welcome}, drop: true}",
            "a driver says no `welcome`: that is `from: engine`",
            "/interfere/message/kind)",
        ),
        (
            "tcp",
            "{message: {from: engine, kind: hello}, drop: true}",
            "the engine says no `hello`: that is `from: driver`",
            "/interfere/message/kind)",
        ),
        (
            "tcp",
            "{message: {kind: connected}, drop: true}",
            "`connected` is no message: nothing can be done to it",
            "/interfere/message/kind)",
        ),
        (
            "tcp",
            "{message: {kind: unknown}, drop: true}",
            "`unknown` is no message: nothing can be done to it",
            "/interfere/message/kind)",
        ),
        (
            "tcp",
            "{message: {kind: heartbeat, task: a}, drop: true}",
            "a `heartbeat` is about no task",
            "/interfere/message/task)",
        ),
        (
            "tcp",
            "{message: {kind: report}, drop: false}",
            "`drop: false` would be done as well",
            "/interfere/drop)",
        ),
        (
            "tcp",
            "{message: {kind: report}, delay_ms: 0}",
            "`delay_ms: 0` delays nothing",
            "/interfere)",
        ),
        (
            "unary",
            "{message: {kind: report}, status: unavailabel}",
            "`unavailabel` is none of unavailable, ",
            "/interfere/status)",
        ),
        (
            "tcp",
            "{message: {from: engine}, change: {status: stale}}",
            "changes no kind: name its `kind`",
            "/interfere/change)",
        ),
        (
            "tcp",
            "{message: {from: engine, kind: outcome}, change: {}}",
            "changes nothing",
            "/interfere/change)",
        ),
        (
            "tcp",
            "{message: {from: engine, kind: outcome}, change: {statsu: stale}}",
            "unknown field `statsu`",
            "/interfere/change/statsu)",
        ),
        (
            "tcp",
            "{message: {kind: refused}, change: {reasons: none}}",
            "unknown field `reasons`",
            "/interfere/change/reasons)",
        ),
    ];
    for (transports, interfere, why, place) in cases {
        let errors = refused(transports, &format!("{{interfere: {interfere}}}"));
        let [error] = &errors[..] else {
            panic!("{interfere}: one flaw, and not {errors:#?}");
        };
        assert!(error.contains(why), "{interfere}: {error}");
        assert!(error.ends_with(place), "{interfere}: {error}");
    }
}

#[test]
fn without_a_list_of_transports_a_case_is_of_all() {
    let text = "cases: [{name: a/b/c, purpose: it is., requires: [R1], script: [{interfere: {message: {kind: report}, status: internal}}]}]";
    let errors = crate::read_cases("a.yaml", text).expect_err("streams have no status");
    assert_eq!(errors.len(), 1, "{errors:#?}");
}

#[test]
fn what_fits_is_taken() {
    let cases = [
        ("unary, rest", "{message: {kind: poll}, status: not_found}"),
        ("rest", "{message: {kind: report}, lose_answer: true}"),
        (
            "tcp, rest",
            "{message: {kind: report, task: a}, double: true}",
        ),
        (
            "tcp, rest",
            "{message: {from: engine, kind: task}, double: true}",
        ),
        (
            "tcp",
            "{message: {from: engine, kind: outcome}, double: true}",
        ),
        ("tcp, unary", "{message: {from: engine}, later: true}"),
        (
            "tcp, rest",
            "{message: {kind: accepted}, change: {token: AAAA}}",
        ),
        (
            "tcp, rest",
            "{message: {kind: hello}, change: {version: null}}",
        ),
        (
            "tcp, rest",
            "{message: {from: engine, kind: cancel}, change: {token: '${token:a}', grace_ms: 5}}",
        ),
        (
            "tcp",
            "{message: {from: engine, kind: outcome}, change: {status: 99}}",
        ),
        (
            "tcp, rest",
            "{message: {from: engine, kind: outcome}, cut_behind: true}",
        ),
    ];
    for (transports, interfere) in cases {
        let errors = refused(transports, &format!("{{interfere: {interfere}}}"));
        assert_eq!(errors, Vec::<String>::new(), "{interfere}");
    }
}

#[test]
fn a_lift_is_of_what_began_before() {
    let hold = "{interfere: {message: {kind: report}, hold: true}}";
    let named = "{interfere: {name: late, message: {kind: report}, hold: true}}";
    let ended = |name: &str| format!("{{lift: {{name: {name}}}}}");
    let none = Vec::<String>::new();
    assert_eq!(refused("tcp", &format!("{hold}, {}", ended("hold"))), none);
    assert_eq!(refused("tcp", &format!("{named}, {}", ended("late"))), none);
    for steps in [
        format!("{}, {hold}", ended("hold")),
        format!("{named}, {}", ended("hold")),
    ] {
        let errors = refused("tcp", &steps);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains("no interference `hold` is on here"));
    }
}

#[test]
fn what_no_answer_can_have_is_not_said_to_drivers_by_calls() {
    let cases = [
        (
            "{message: {goodbye: {reason: moved}}}",
            "no answer of a call can have it",
        ),
        ("{message: {}}", "no answer of a call can have it"),
        (
            "{message: {cancel: {token: AAAA}}, cut: true}",
            "`cut` is of streams alone",
        ),
        (
            "{message: {acknowledgement: {sequence: 3}}}",
            "of an acknowledgement, an answer to heartbeats has `stale_tokens` alone",
        ),
    ];
    for (say, why) in cases {
        let steps = format!("{{say: {say}}}");
        assert_eq!(refused("tcp, tls, unix", &steps), Vec::<String>::new());
        let errors = refused("tcp, unary", &steps);
        assert_eq!(errors.len(), 1, "{say}: {errors:#?}");
        assert!(
            errors[0].contains(&format!("by `unary`: {why}")),
            "{errors:#?}"
        );
        if why.starts_with("no answer") {
            assert!(errors[0].ends_with("/say)"), "{errors:#?}");
        }
    }
    let later = "{say: {message: {cancel: {token: AAAA}}, later: true}}";
    assert_eq!(refused("tcp, unary", later), Vec::<String>::new());
    let errors = refused("rest", later);
    assert!(
        errors[0].contains("by `rest`: JSON is read strictly"),
        "{errors:#?}"
    );
    for say in [
        "{message: {task: '${task:a}'}}",
        "{message: {cancel: {token: '${token:a}'}}}",
        "{message: {drain: {reason: so}}}",
        "{message: {acknowledgement: {stale_tokens: ['${token:a}']}}}",
    ] {
        let errors = refused("unary, rest", &format!("{{say: {say}}}"));
        assert_eq!(errors, Vec::<String>::new(), "{say}");
    }
}

fn report() -> Said {
    Said {
        kind: "report",
        token: Bytes::new(),
        body: json!({}),
    }
}

fn interfere(kind: &str, times: u32, how: How) -> v1::Interfere {
    v1::Interfere {
        message: Some(v1::Pattern {
            kind: kind.to_owned(),
            ..v1::Pattern::default()
        }),
        times,
        how: Some(how),
        ..v1::Interfere::default()
    }
}

#[test]
fn what_never_happened_is_told_and_what_did_is_not() {
    let record = Record::new();
    let fate = |on: &Interferences, way| on.fate(&record, way, From::Driver, &report(), None);
    let on = Interferences::default();
    on.begin(&interfere("report", 2, How::Drop(true)));
    on.begin(&interfere("logs", 0, How::Drop(true)));
    let missed = on.missed();
    assert_eq!(missed.len(), 2, "{missed:#?}");
    assert!(missed[0].contains("never happened"), "{missed:#?}");
    assert!(missed[0].contains("driver's `report`"), "{missed:#?}");
    assert!(missed[1].contains("driver's `logs`"), "{missed:#?}");
    assert!(matches!(fate(&on, Way::Stream), Fate::Drop));
    let missed = on.missed();
    assert!(missed[0].contains("happened 1 times of 2"), "{missed:#?}");
    assert!(matches!(fate(&on, Way::Stream), Fate::Drop));
    assert!(matches!(fate(&on, Way::Stream), Fate::Pass));
    assert_eq!(on.missed().len(), 1, "{:#?}", on.missed());
    // What the case ends by itself may have been in vain.
    assert!(on.lift("drop"));
    assert!(on.lift("drop"));
    assert_eq!(on.missed(), Vec::<String>::new());
}

#[test]
fn one_of_the_messages_of_a_fault_is_enough() {
    let record = Record::new();
    let on = Interferences::default();
    let message = |kind: &str| v1::Pattern {
        kind: kind.to_owned(),
        ..v1::Pattern::default()
    };
    let messages = vec![message("report"), message("logs")];
    on.add(
        "slow".to_owned(),
        messages,
        0,
        How::DelayMs(60),
        "the fault `slow`".to_owned(),
    );
    let missed = on.missed();
    assert!(missed[0].contains("never happened") && missed[0].contains("the fault `slow`"));
    let fate = on.fate(&record, Way::Rest, From::Driver, &report(), None);
    assert!(matches!(fate, Fate::Delay(_)));
    assert_eq!(on.missed(), Vec::<String>::new());
}

#[test]
fn what_has_no_meaning_when_it_comes_is_told_by_its_name() {
    let record = Record::new();
    let on = Interferences::default();
    on.begin(&interfere("report", 1, How::LoseAnswer(true)));
    let fate = on.fate(&record, Way::Stream, From::Driver, &report(), None);
    assert!(matches!(fate, Fate::Pass));
    assert_eq!(
        on.missed(),
        [
            "interference `lose_answer` had no meaning for a message of a stream: a message of a stream has no answer of its own"
        ]
    );
}

#[test]
fn a_cut_is_in_the_place_of_one_message_behind_a_task_whichever_side_says_it() {
    let record = Record::new();
    let cut = |before: u32, said: &[(From, &'static str)]| -> Vec<usize> {
        let interferences = Interferences::default();
        interferences.cut_before(before);
        assert!(interferences.is_cut_to_come());
        let is_cut = |&(from, kind): &(From, &'static str)| {
            let said = Said {
                kind,
                token: Bytes::new(),
                body: json!(null),
            };
            matches!(
                interferences.fate(&record, Way::Stream, from, &said, None),
                Fate::Cut
            )
        };
        let cut = said.iter().map(is_cut).enumerate();
        let cut: Vec<usize> = cut.filter_map(|(at, cut)| cut.then_some(at)).collect();
        assert_eq!(interferences.is_cut_to_come(), cut.is_empty());
        cut
    };
    let said = [
        (From::Driver, "credits"),
        (From::Driver, "task"),
        (From::Engine, "task"),
        (From::Driver, "accepted"),
        (From::Engine, "task"),
        (From::Driver, "report"),
        (From::Engine, "outcome"),
        (From::Driver, "accepted"),
    ];
    assert_eq!(cut(1, &said), [3]);
    assert_eq!(cut(2, &said), [4]);
    assert_eq!(cut(4, &said), [6]);
    assert!(cut(6, &said).is_empty());
    assert!(cut(1, &said[..3]).is_empty());
}

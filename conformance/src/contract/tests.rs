//! Mistakes in cases: each is refused with its place, and with what may stand there.

use super::*;
use crate::cases::marked;

/// A case with what stands in it besides its script; in it, `‸` stands before the mistake.
fn besides(text: &str) -> String {
    let case = "cases:\n  - name: a/b/c\n    purpose: it is.\n";
    let script = "    script: [{cut: {}}]\n";
    match text.contains("requires") {
        true => format!("{case}    {text}\n{script}"),
        false => format!("{case}    requires: [R1]\n    {text}\n{script}"),
    }
}

/// A case with a step behind a run of the task `a`.
fn step(text: &str) -> String {
    let run = "      - run: {tasks: [{program: []}]}\n";
    script(&format!("{run}      - {text}\n"))
}

fn script(steps: &str) -> String {
    format!(
        "cases:\n  - name: a/b/c\n    purpose: it is.\n    requires: [R1]\n    setting: {{access: true, secrets: {{key: orange}}}}\n    script:\n{steps}"
    )
}

/// Whether a text is refused at its mark, for one reason that begins with these words.
fn is_refused(text: &str, words: &str) {
    let (text, place) = marked("c.yaml", text);
    let errors = read(&[("c.yaml", &text)]).expect_err(&text);
    let [error] = &errors[..] else {
        panic!("{text}: {errors:#?}");
    };
    assert_eq!(error.place, place, "{text}: {error}");
    assert!(error.message.starts_with(words), "{text}: {error}");
}

#[test]
fn what_is_wrong_besides_the_script_is_refused_at_its_place() {
    for (text, words) in [
        ("requires: [R1, ‸R1]", "`R1` stands there twice"),
        (
            "time_limit_ms: ‸3600000",
            "3600000 ms are more than anything may take: 120000 ms",
        ),
        (
            "features: [‸checkpoint]",
            "`checkpoint` is none of stream, unary, rest,",
        ),
        ("features: [logs, ‸logs]", "`logs` stands there twice"),
        (
            "axes: {transports: [tcp, ‸quic]}",
            "`quic` is none of tcp, tls, unix, unary,",
        ),
        (
            "axes: {transports: [tcp, ‸tcp]}",
            "`tcp` stands there twice",
        ),
        ("axes: {concurrency: [‸0]}", "0 is none of 1, 64"),
        ("axes: {concurrency: [1, ‸32]}", "32 is none of 1, 64"),
        (
            "axes: {faults: [‸reboot]}",
            "`reboot` is none of restart, cut, half-open,",
        ),
        ("setting: {drain_ms: ‸200000}", "200000 ms are more than"),
        (
            "setting: {welcome: {heartbeat_ms: ‸200}}",
            "unknown field `heartbeat_ms`; known are `session`,",
        ),
        (
            "setting: {welcome: {limits: {log_line: ‸200}}}",
            "unknown field `log_line`; known are",
        ),
        (
            "setting: {welcome: {log_window: ‸much}}",
            "\"much\": expected an integer from 0 on, found a string",
        ),
        ("setting: {welcome: ‸[]}", "[] is no object"),
    ] {
        is_refused(&besides(text), words);
    }
}

#[test]
fn what_is_wrong_with_a_step_is_refused_at_its_place() {
    for (text, words) in [
        (
            "stop: {kind: ‸terminat}",
            "`terminat` is none of cancel, terminate, drain; near to it: `terminate`",
        ),
        (
            "signal: {name: ‸HUP}",
            "`HUP` is none of TERM, KILL, STOP, CONT, INT",
        ),
        (
            "ended: {state: ‸done}",
            "`done` is none of succeeded, failed, cancelled",
        ),
        (
            "ended: {within_ms: ‸999999}",
            "999999 ms are more than anything may take: 120000 ms",
        ),
        (
            "ended: {steps: {a: {attempts: {$lest: ‸1}}}}",
            "there is no test `$lest`; there are $any, $absent, $least,",
        ),
        (
            "ended: {steps: {a: {output: ‸{}}}}",
            "unknown field `output`; known are `id`",
        ),
        (
            "ended: {steps: {a: {attempts: {$least: ‸1}}}}",
            "`$least` is no test of what stands there, a list: there are $any, $absent, $count,",
        ),
        (
            "ended: {steps: {a: {state: ‸ended}}}",
            "\"ended\": \"ended\" is none of",
        ),
        (
            "ended: {steps: {b: ‸{}}}",
            "the run `run` has no task `b`; it has `a`",
        ),
        (
            "ended: {run: ‸other}",
            "no run `other` was started before; there are `run`",
        ),
        (
            "stop: {run: ‸other}",
            "no run `other` was started before; there are `run`",
        ),
        (
            "logged: {task: ‸b}",
            "the run `run` has no task `b`; it has `a`",
        ),
        (
            "logged: {streams: [‸stdin]}",
            "`stdin` is none of stdout, stderr, driver",
        ),
        ("logged: {lines: [{$lest: ‸1}]}", "there is no test `$lest`"),
        ("logged: {lines: [‸1]}", "1 is no text, and no test of one"),
        ("logged: {lines: ‸line}", "\"line\" is no list of lines"),
        ("logged: {lines: [], numbered: ‸3}", "stands beside `lines`"),
        (
            "exited: {says: ‸'(never'}",
            "`(never` is no regular expression: unclosed group",
        ),
        (
            "touch: {file: ‸a/b}",
            "`a/b` is no name of a file in `${dir}`",
        ),
        (
            "recorded: {file: ‸''}",
            "`` is no name of a file in `${dir}`",
        ),
        (
            "lift: {name: ‸hold}",
            "no interference `hold` is on here; none is",
        ),
        (
            "call: {call: ‸complete}",
            "`complete` is none of complete_task, extend_task, append_logs",
        ),
        (
            "call: {call: extend_task, request: {untill_ms: ‸5}}",
            "unknown field `untill_ms`; known are `token`",
        ),
        (
            "call: {call: extend_task, answer: {state: ‸5}}",
            "unknown field `state`; known are",
        ),
        (
            "call: {call: extend_task, request: {token: ‸'${token:b}'}}",
            "no run of the script has a task `b`; there are `a`",
        ),
        (
            "say: {message: {cancle: ‸{}}}",
            "unknown field `cancle`; known are `welcome`",
        ),
        (
            "say: {message: {cancel: {grace: ‸5}}}",
            "unknown field `grace`; known are `token`",
        ),
        (
            "say: {message: {task: {id: {step: c}, inputs: {program: [{slep: ‸{}}]}}}}",
            "unknown command or field `slep`",
        ),
        ("say: {message: {sequence: ‸5}}", "unknown field `sequence`"),
        (
            "say: {message: {cancel: {}, drain: ‸{}}}",
            "`drain` and `cancel` exclude each other",
        ),
        (
            "published: {like: {nam: ‸x}}",
            "unknown field `nam`; known are",
        ),
        ("‸why: only", "says nothing that is to be done or seen"),
    ] {
        is_refused(&step(text), words);
    }
}

#[test]
fn what_is_wrong_with_a_message_is_refused_at_its_place() {
    for (text, words) in [
        ("see: ‸{}", "has no `message`"),
        (
            "see: {message: {from: ‸server}}",
            "`server` is neither driver nor engine",
        ),
        (
            "see: {message: {kind: ‸reprot}}",
            "`reprot` is none of hello, resume,",
        ),
        (
            "see: {message: {kind: ‸welcome}}",
            "a driver says no `welcome`: that is `from: engine`, or one of hello,",
        ),
        (
            "see: {message: {from: engine, kind: ‸report}}",
            "the engine says no `report`: that is `from: driver`, or one of welcome,",
        ),
        (
            "see: {message: {kind: report, task: ‸b}}",
            "no run of the script has a task `b`",
        ),
        (
            "see: {message: {kind: hello, task: ‸a}}",
            "a `hello` is about no task",
        ),
        (
            "see: {message: {kind: hello, attempt: ‸1}}",
            "a `hello` is about no task",
        ),
        (
            "see: {message: {kind: report, like: {state: ‸failed}}}",
            "unknown field `state`; known are `token`, `result`",
        ),
        (
            "see: {message: {kind: report, like: {result: {state: ‸failde}}}}",
            "\"failde\": \"failde\" is none of",
        ),
        (
            "see: {message: {kind: report, like: {result: {state: {$least: ‸1}}}}}",
            "`$least` is no test of what stands there, a text",
        ),
        (
            "see: {message: {kind: detached, like: {reason: ‸x}}}",
            "unknown field `reason`; known are `token`, `until_ms`, `principals`",
        ),
        (
            "see: {message: {kind: broken, like: {status: ‸x}}}",
            "unknown field `status`: a `broken` has `why`",
        ),
        (
            "see: {message: {kind: hello, like: {version: {$matches: ‸'['}}}}",
            "`[` is no regular expression: unclosed character class",
        ),
        (
            "see: {message: {kind: hello, like: {version: ‸'${tokn:a}'}}}",
            "nothing is called `${tokn:a}`: there are ${token:STEP}",
        ),
        (
            "see: {message: {like: ‸{nothing: 1}}}",
            "no kind of message has all of this",
        ),
        (
            "see: {message: {kind: hello}, not_before_ms: ‸9000}",
            "9000 ms are later than `within_ms`, 5000",
        ),
        (
            "unseen: {message: {kind: hello}, for_ms: ‸999999}",
            "999999 ms are more than",
        ),
        (
            "interfere: ‸{message: {kind: hello}}",
            "does not say how: one of hold, drop,",
        ),
        (
            "interfere: {message: {kind: hello}, status: ‸unavailble}",
            "`unavailble` is none of unavailable,",
        ),
        (
            "interfere: {message: {kind: hello}, hold: ‸false}",
            "`hold: false` would be done as well",
        ),
        (
            "interfere: {message: {kind: ‸connected}, hold: true}",
            "`connected` is no message: nothing can be done to it",
        ),
        (
            "interfere: {message: {kind: hello}, change: {capcity: ‸1}}",
            "unknown field `capcity`; known are `driver`",
        ),
        (
            "interfere: {message: {}, change: ‸{a: 1}}",
            "changes no kind: name its `kind`",
        ),
        (
            "interfere: {message: {kind: hello}, delay_ms: ‸999999}",
            "999999 ms are more than",
        ),
    ] {
        is_refused(&step(text), words);
    }
}

#[test]
fn what_is_wrong_with_a_run_is_refused_at_its_place() {
    for (text, words) in [
        ("run: ‸{name: more}", "has no task"),
        ("run: ‸{tasks: [{}]}", "there is a run `run` already"),
        (
            "run: {name: ‸run, tasks: [{}]}",
            "there is a run `run` already",
        ),
        (
            "run: {name: m, tasks: [{}, ‸{}]}",
            "there is a task `a` already",
        ),
        (
            "run: {name: m, tasks: [{id: b, copies: 2}, {id: ‸b-1}]}",
            "there is a task `b-1` already",
        ),
        (
            "run: {name: m, tasks: [{sample: ‸best}]}",
            "`best` is none of good, slow,",
        ),
        (
            "run: {name: m, tasks: [{program: [{slep: ‸{}}]}]}",
            "unknown command or field `slep`; known are `attempt`, `log`, `sleep`",
        ),
        (
            "run: {name: m, tasks: [{program: [{sleep: {sec: ‸1}}]}]}",
            "unknown command or field `sec`; known are `ms`",
        ),
        (
            "run: {name: m, tasks: [{program: [{sleep: {ms: ‸long}}]}]}",
            "\"long\": expected an integer from 0 on, found a string",
        ),
        (
            "run: {name: m, tasks: [{program: [‸{attempt: 1}]}]}",
            "commands nothing",
        ),
        (
            "run: {name: m, tasks: [{program: [{echo: {}, spin: ‸{ms: 1}}]}]}",
            "`spin` and `echo` exclude each other",
        ),
        (
            "run: {name: m, tasks: [{program: ‸{echo: {}}}]}",
            "{\"echo\":{}} is no list",
        ),
        (
            "run: {name: m, tasks: [{program: [{log: {text: ‸'in ${dri}'}}]}]}",
            "nothing is called `${dri}`: there are ${dir},",
        ),
        (
            "run: {name: m, tasks: [{program: [{log: {text: ‸'${secret:lock}'}}]}]}",
            "the step has no secret `lock`",
        ),
        (
            "run: {name: m, tasks: [{step: {secrets: {lock: ‸door}}}]}",
            "the case's setting has no secret `door`",
        ),
        (
            "run: {name: m, tasks: [{step: {retyr: ‸{attempts: 2}}}]}",
            "unknown field `retyr`; allowed: id, name, driver,",
        ),
        (
            "run: {name: m, tasks: [{step: {grace: ‸soon}}]}",
            "`grace` is not a duration; found the text \"soon\"; allowed: a duration such as 300ms,",
        ),
        (
            "run: {name: m, tasks: [{step: {needs: [‸z]}}]}",
            "no step has the id `z`",
        ),
        (
            "run: {name: m, tasks: [{step: {driver: ‸me}}]}",
            "is the driver that is tested",
        ),
    ] {
        is_refused(&step(text), words);
    }
}

/// What may stand there does.
#[test]
fn what_stands_for_values_is_taken_where_they_would_stand() {
    let text = script(
        "      - interfere: {name: mine, message: {from: engine, kind: outcome}, times: 1, change: {status: 99, reason: null}}
      - run: {tasks: [{program: [{sleep: {ms: '${attempt}'}}, {log: {text: '${secret:k}'}}, {return: {outputs: {n: '${long:3}'}}}], step: {secrets: {k: key}}}]}
      - see: {message: {kind: report, task: a, like: {result: {outputs: {any: {$has: 1}}, last_log_offset: {$absent: true}}}}}
      - see: {message: {from: engine, kind: task, like: {token: '${token:a}', time_left_ms: {$least: 1, $most: 9}}}}
      - see: {message: {kind: poll, like: {request_id: '${seen:/request_id}', max_tasks: '${seen:/max_tasks}'}}}
      - say: {message: {outcome: {token: '${token:a}', status: 99}}}
      - say: {message: {task: '${task:a}'}}
      - say: {message: {}}
      - say: {message: {task: {token: bm8=, id: {step: late}}}}
      - see: {message: {kind: refused, task: late}}
      - lift: {name: mine}
      - run: {name: refused, refused: nobody, tasks: [{}]}
      - run: {name: refused, refused: nobody, tasks: [{}]}
      - ended: {steps: {a: {attempts: {$each: {state: succeeded}}, outputs: {$any: true}}}}
",
    );
    // By calls there is neither a message without a kind nor an outcome by itself.
    let text = text.replacen(
        "    script:",
        "    axes: {transports: [tcp, tls]}\n    script:",
        1,
    );
    let read = read(&[("c.yaml", &text)]);
    read.unwrap_or_else(|errors| panic!("{errors:#?}"));
}

/// A driver that fails one of these is told a rule that it broke, and not one of the engine's alone.
#[test]
fn what_is_asked_of_a_hello_and_of_user_code_cites_a_rule_that_binds_drivers() {
    let cases = embedded("contract").unwrap_or_else(|errors| panic!("{errors:#?}"));
    let asks = |case: &&v1::Case| {
        let areas = ["registration/", "task/"];
        areas.iter().any(|area| case.name.starts_with(area))
    };
    let of_drivers = |cited: &String| {
        let rule = crate::rules::of(cited);
        rule.is_some_and(|rule| rule.who != crate::rules::Who::Engine)
    };
    let mut asked = 0;
    for case in cases.iter().filter(asks) {
        asked += 1;
        let name = &case.name;
        assert!(case.requires.iter().any(of_drivers), "{name}");
    }
    assert!(asked > 20, "{asked}");
}

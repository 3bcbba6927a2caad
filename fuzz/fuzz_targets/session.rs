//! Any frames on a stream of the driver service: each is answered as the contract says or the stream ends,
//! without a panic or a stall, and tokens of others, or of what is over, change nothing. The stream is the one
//! that gRPC serves, without a socket.
#![no_main]

#[path = "../../core/service/tests/suite/stream.rs"]
mod stream;

use arbitrary::{Arbitrary, Unstructured};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::task_answer::Answer;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use prost::bytes::Bytes;
use std::sync::OnceLock;
use stream::{PATIENCE, Server, Stream, hello};
use tokio::runtime::Runtime;

#[derive(Arbitrary, Debug)]
enum Token {
    /// Of a task that the session has.
    Own,
    /// Of one that it ended.
    Over,
    /// Of somebody else's.
    Foreign,
    /// So many bytes of its own.
    Torn(u8),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Act {
    Hello(u32, Vec<Token>),
    Resume {
        right: bool,
        generation: u64,
        tokens: Vec<Token>,
    },
    Credits(u32, String),
    Accepted(Token),
    Refused(Token, String),
    Detached(Token, u64, Vec<String>),
    Unanswered(Token),
    Heartbeat(Vec<(Token, Option<u32>, String)>, Option<u32>),
    Report(Token, Option<Outcome>),
    Logs(Token, u64, Vec<(u64, i32, Vec<u8>, bool)>),
    Checkpoint(Token, Vec<u8>),
    Drain(Option<u64>),
    Leaving(String),
    Later,
    /// What else protobuf reads as a message.
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Outcome {
    state: i32,
    outputs: Vec<u8>,
    failure: Option<(String, String, Vec<u8>, Option<bool>, Option<u64>)>,
    last_log_offset: Option<u64>,
    artifacts: u8,
}

/// What the tokens are.
struct Tokens {
    own: Bytes,
    over: Bytes,
    foreign: Bytes,
}

impl Tokens {
    fn of(&self, token: &Token) -> Bytes {
        match token {
            Token::Own => self.own.clone(),
            Token::Over => self.over.clone(),
            Token::Foreign => self.foreign.clone(),
            Token::Torn(len) => self.own.slice(..usize::from(*len).min(self.own.len() - 1)),
            Token::Bytes(bytes) => bytes.clone().into(),
        }
    }
}

fn message(act: Act, tokens: &Tokens, welcome: &v1::Welcome) -> Option<Tell> {
    let answer = |token: &Token, answer| {
        let token = tokens.of(token);
        Some(Tell::Answer(v1::TaskAnswer { token, answer }))
    };
    match act {
        Act::Hello(capacity, adopts) => Some(Tell::Hello(v1::Hello {
            adopts: adopts.iter().map(|token| tokens.of(token)).collect(),
            ..hello(capacity)
        })),
        Act::Resume {
            right,
            generation,
            tokens: named,
        } => Some(Tell::Resume(v1::Resume {
            session: welcome.session.clone(),
            resume_secret: match right {
                true => welcome.resume_secret.clone(),
                false => Bytes::new(),
            },
            generation,
            tokens: named.iter().map(|token| tokens.of(token)).collect(),
            received_sequence: generation,
        })),
        Act::Credits(count, queue) => Some(Tell::Credits(v1::Credits { count, queue })),
        Act::Accepted(token) => answer(&token, Some(Answer::Accepted(v1::Accepted {}))),
        Act::Refused(token, reason) => {
            answer(&token, Some(Answer::Refused(v1::Refused { reason })))
        }
        Act::Detached(token, until_ms, principals) => answer(
            &token,
            Some(Answer::Detached(v1::Detached {
                until_ms,
                principals,
            })),
        ),
        Act::Unanswered(token) => answer(&token, None),
        Act::Heartbeat(tasks, free) => {
            let each = tasks
                .into_iter()
                .map(|(token, permille, message)| v1::TaskProgress {
                    token: tokens.of(&token),
                    permille,
                    message,
                });
            let tasks = each.collect();
            Some(Tell::Heartbeat(v1::SessionHeartbeat { tasks, free }))
        }
        Act::Report(token, outcome) => Some(Tell::Report(v1::TaskReport {
            token: tokens.of(&token),
            result: outcome.map(result),
        })),
        Act::Logs(token, first_offset, lines) => {
            let each = lines
                .into_iter()
                .map(|(time_ms, stream, text, truncated)| v1::LogLine {
                    time_ms,
                    stream,
                    text: text.into(),
                    truncated,
                });
            Some(Tell::Logs(v1::LogBatch {
                token: tokens.of(&token),
                first_offset,
                lines: each.collect(),
            }))
        }
        Act::Checkpoint(token, data) => Some(Tell::Checkpoint(v1::Checkpoint {
            token: tokens.of(&token),
            data: data.into(),
        })),
        Act::Drain(deadline_ms) => Some(Tell::Drain(v1::Drain {
            reason: String::new(),
            deadline_ms,
        })),
        Act::Leaving(reason) => Some(Tell::Leaving(v1::Leaving { reason })),
        Act::Later => None,
        Act::Bytes(bytes) => v1::SessionRequest::decode(&bytes[..]).ok()?.message,
    }
}

fn result(outcome: Outcome) -> v1::Result {
    let failure =
        outcome.failure.map(
            |(code, message, details, retryable, retry_after_ms)| v1::Failure {
                code,
                message,
                details: details.into(),
                retryable,
                retry_after_ms,
            },
        );
    v1::Result {
        state: outcome.state,
        outputs: outcome.outputs.into(),
        failure,
        artifacts: vec![v1::Artifact::default(); outcome.artifacts.into()],
        last_log_offset: outcome.last_log_offset,
    }
}

async fn outcome(stream: &mut Stream) {
    while !matches!(
        stream.next().await.expect("the stream goes on"),
        Told::Outcome(_)
    ) {}
}

async fn acts(server: &Server, acts: Vec<(Act, Option<u64>)>) {
    let theirs = server.start().await;
    let (_other, _, tasks) = server.session("other", 1).await;
    let foreign = tasks[0].token.clone();
    let ended = server.start().await;
    // One that it ends, and one that it has.
    let (mut first, _, tasks) = server.session("raw", 1).await;
    let over = tasks[0].token.clone();
    first.tell(Tell::Report(v1::TaskReport {
        token: over.clone(),
        result: None,
    }));
    outcome(&mut first).await;
    first.tell(Tell::Leaving(v1::Leaving::default()));
    first.end().await;
    server.start().await;
    let (mut stream, welcome, tasks) = server.session("raw", 1).await;
    let own = tasks[0].token.clone();
    let tokens = Tokens { own, over, foreign };
    let before = (server.records(theirs).await, server.records(ended).await);
    for (act, number) in acts.into_iter().take(64) {
        let message = message(act, &tokens, &welcome);
        match (number, message) {
            (None, Some(message)) => stream.tell(message),
            (number, message) => {
                let sequence = number.unwrap_or_default();
                stream.send(v1::SessionRequest { sequence, message });
            }
        }
    }
    // An answer that shows that all before it was read, or the end.
    stream.tell(Tell::Report(v1::TaskReport::default()));
    let mut over = false;
    while !over {
        over = match stream.next().await {
            None => true,
            Some(Told::Outcome(outcome)) => {
                let stale = outcome.token == tokens.foreign || outcome.token == tokens.over;
                assert!(!stale || outcome.status() != v1::ReportStatus::Accepted);
                outcome.token.is_empty()
            }
            Some(Told::Goodbye(goodbye)) => {
                assert_ne!(goodbye.reason(), v1::GoodbyeReason::Unspecified);
                true
            }
            Some(Told::Welcome(_)) => panic!("a second welcome"),
            Some(_) => false,
        };
    }
    stream.end().await;
    let after = (server.records(theirs).await, server.records(ended).await);
    assert_eq!(
        after, before,
        "somebody else's task, or one that is over, changed"
    );
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build();
        runtime.expect("a runtime")
    })
}

fuzz_target!(|bytes: &[u8]| {
    // The first byte says whether the others are those of the wire, or make up messages of which each has a
    // number of its own, or the next.
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let all = match kind % 2 {
        0 => None,
        _ => match Vec::arbitrary_take_rest(Unstructured::new(bytes)) {
            Ok(all) => Some(all),
            Err(_) => return,
        },
    };
    runtime().block_on(async {
        let server = Server::open().await;
        let said = async {
            match all {
                Some(all) => acts(&server, all).await,
                None => {
                    let answers = server.bytes(bytes.to_vec().into()).await;
                    for (answer, number) in answers.iter().zip(1..) {
                        assert_eq!(answer.sequence, number);
                        assert!(answer.message.is_some());
                    }
                }
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await;
        said.expect("it does not hang");
        server.end().await;
    });
});

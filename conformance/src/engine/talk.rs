//! What was said in a case, for `--trace`.

use crate::runner::Trace;
use crate::wire::line;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Lines of what was said, or nothing where nobody wants them. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Talk(Option<Arc<Lines>>);

#[derive(Debug)]
struct Lines {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// Answers of calls, by the calls: what is asked again and again until it changes is told once.
    answers: HashMap<String, String>,
}

impl Talk {
    pub(crate) fn new(trace: Trace) -> Talk {
        Talk(match trace {
            Trace::Off => None,
            Trace::On => Some(Arc::new(Lines {
                began: Instant::now(),
                state: Mutex::default(),
            })),
        })
    }

    /// A message on a stream: of `driver s`, `engine s`.
    pub(super) fn message(&self, whose: &str, body: &Value) {
        if let Some(lines) = &self.0 {
            let at = lines.began.elapsed();
            let mut state = lines.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.lines.push(line(at, whose, body));
        }
    }

    /// A call of REST and what it was answered: `GET /v1/runs`, `200`.
    pub(super) fn call(&self, call: &str, asked: Option<&[u8]>, answer: &str, body: &Value) {
        let Some(lines) = &self.0 else { return };
        let at = lines.began.elapsed();
        let mut state = lines.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asked.map(|body| String::from_utf8_lossy(body).into_owned());
        let key = format!("{call} {}", asked.as_deref().unwrap_or_default());
        let told = format!("{answer} {body}");
        if state.answers.get(&key) == Some(&told) {
            return;
        }
        state.answers.insert(key, told);
        let asked = asked.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        let call = line(at, &format!("client {call}"), &asked.unwrap_or_default());
        let answer = line(at, &format!("engine {answer}"), body);
        state.lines.extend([call, answer]);
    }

    /// All that was said until now.
    pub(super) fn lines(&self) -> Vec<String> {
        let Some(lines) = &self.0 else {
            return Vec::new();
        };
        let state = lines.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lines.clone()
    }
}

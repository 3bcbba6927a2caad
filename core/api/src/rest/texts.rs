//! Events as JSON, made once for all who follow a run: that takes longer than all else which sending one does.

use crate::json;
use conveyor_proto::v1;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// So many texts are kept, the newest: followers are told of an event at about the same time.
const KEPT: usize = 64;
/// Longer ones are not: they are outputs, and few.
const LONGEST: usize = 16 << 10;

/// Events told last, with their texts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(Arc<Mutex<VecDeque<Text>>>);

type Text = (v1::Event, Arc<str>);

impl Texts {
    /// The text of an event.
    pub(super) fn of(&self, event: &v1::Event) -> Arc<str> {
        let all = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // All of it is compared, not its id: a run may be deleted, and another be started under its id.
        if let Some((_, text)) = all().iter().rev().find(|(known, _)| known == event) {
            return Arc::clone(text);
        }
        let text: Arc<str> = json::to_json("Event", event).to_string().into();
        if text.len() <= LONGEST {
            let mut all = all();
            all.push_back((event.clone(), Arc::clone(&text)));
            if all.len() > KEPT {
                all.pop_front();
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Texts};
    use conveyor_proto::v1;

    #[test]
    fn a_text_is_that_of_the_event_whatever_its_id() {
        let texts = Texts::default();
        for time_ms in 0..3 * KEPT as u64 {
            let event = v1::Event {
                id: "1.0".to_owned(),
                time_ms: time_ms / 2,
                ..v1::Event::default()
            };
            let text = texts.of(&event);
            assert!(
                text.contains(&format!("\"time_ms\":{}", time_ms / 2)),
                "{text}"
            );
        }
        assert_eq!(texts.0.lock().unwrap().len(), KEPT);
    }
}

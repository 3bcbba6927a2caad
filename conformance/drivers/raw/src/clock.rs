//! What time brings.

use crate::breaks::Break;
use crate::held::{Held, Why};
use crate::interpreter;
use crate::says::End;
use crate::session::Session;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use prost::bytes::Bytes;
use tokio::time::Instant;

impl Session {
    pub(crate) fn next_beat(&self) -> Instant {
        self.pace.next()
    }

    /// Names all that is held (R21), and how many more it takes (R23).
    pub(crate) fn heartbeat(&mut self) {
        let ended_too = !self.breaks(Break::NamesNoEnded);
        let is_named = |held: &Held| held.runs() || held.is_open() && ended_too;
        let open = self.held.iter().filter(|(_, held)| is_named(held));
        let tasks = open.map(|(token, held)| {
            let (permille, message) = held.progress.clone().unzip();
            v1::TaskProgress {
                token: token.clone(),
                permille,
                message: message.unwrap_or_default(),
            }
        });
        let mut tasks: Vec<_> = tasks.collect();
        if self.breaks(Break::SilentWithoutTasks) && tasks.is_empty() {
            return self.pace.skipped();
        }
        if self.breaks(Break::NamesOne) {
            tasks.truncate(1);
        }
        let free = Some(self.free());
        if let Some(link) = &mut self.link {
            let sequence = link.tell(Tell::Heartbeat(v1::SessionHeartbeat { tasks, free }));
            self.pace.sent(sequence);
        }
    }

    /// Looks at all deadlines.
    pub(crate) fn look(&mut self) {
        self.look_for_welcome();
        let now = Instant::now();
        let (mut cut_off, mut over, mut unheard) = (Vec::new(), Vec::new(), Vec::new());
        self.held.values_mut().for_each(|held| held.lines.look(now));
        for (token, held) in self.held.iter().filter(|(_, held)| held.runs()) {
            match held.stop {
                Some(stop) if stop.cut_off <= now => cut_off.push(token.clone()),
                Some(_) => {}
                None if held.deadline <= now && !self.breaks(Break::NoDeadline) => {
                    over.push((token.clone(), held.grace));
                }
                None if self.is_unheard(held, now) => unheard.push((token.clone(), held.grace)),
                None => {}
            }
        }
        // Its time is over (R17): the engine says so, too, where it is heard.
        for (token, grace) in over {
            self.tell_to_stop(&token, Why::TimeOver, grace);
        }
        for (token, grace) in unheard {
            self.tell_to_stop(&token, Why::Unheard, grace);
        }
        for token in cut_off {
            self.cut_off(&token);
        }
    }

    /// Ends the program, and reports that it was told to stop.
    pub(crate) fn cut_off(&mut self, token: &Bytes) {
        if let Some(held) = self.held.get(token) {
            held.abort.abort();
        }
        self.ended(token, End::Once(interpreter::cancelled()));
    }
}

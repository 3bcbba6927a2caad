//! What the engine says.

use crate::bounds;
use crate::breaks::Break;
use crate::held::{Held, Past, Report, Stage, Why};
use crate::hello::CONTRACT_VERSION;
use crate::pace::Settled;
use crate::push::{checkpoint, detached};
use crate::said::too_long;
use crate::session::{Identity, Over, Session, note};
use crate::wire::Heard;
use conveyor_proto::v1;
use conveyor_proto::v1::GoodbyeReason;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use std::time::Duration;
use tonic::Status;

/// How long it waits, at least, before it comes back after a mistake, or to a session that is another's.
const AFTER_MISTAKE: Duration = Duration::from_secs(1);

impl Session {
    pub(crate) fn heard(&mut self, heard: Result<Option<Heard>, Status>) -> Result<(), Over> {
        let message = match heard {
            Ok(Some(Heard::Message(message))) => message,
            Ok(Some(Heard::Done(sequence))) => {
                self.settled(Settled::One(sequence));
                return Ok(());
            }
            Ok(None) => return self.broken(&Status::unavailable("the engine closed the stream")),
            Err(status) => return self.broken(&status),
        };
        if self.breaks.cannot_bear(message.as_ref()) {
            return self.broken(&Status::internal("the engine says what is not known here"));
        }
        match message {
            Some(Told::Welcome(welcome)) => return self.welcome(welcome),
            Some(Told::Task(task)) => self.task(&task),
            Some(Told::Cancel(cancel)) => self.cancel(&cancel),
            Some(Told::Acknowledgement(acknowledgement)) => self.acknowledged(&acknowledgement),
            Some(Told::Outcome(outcome)) => self.outcome(&outcome),
            Some(Told::LogWindow(more)) => {
                if let Some(link) = &mut self.link {
                    link.window = link.window.saturating_add(more.bytes);
                }
            }
            // It goes on with what it holds, and comes back after the goodbye (R76).
            Some(Told::Drain(drain)) => self.engine_drains(&drain),
            Some(Told::Goodbye(goodbye)) => return self.goodbye(&goodbye),
            // Of a later contract (R5).
            None => note("a message of a kind that is not known is left out"),
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: v1::Welcome) -> Result<(), Over> {
        let generation = match &self.identity {
            Some(identity) if identity.session == welcome.session => identity.generation,
            _ => 0,
        };
        note(&format!(
            "connected: session {}, engine {}",
            welcome.session, welcome.engine
        ));
        welcome
            .notes
            .iter()
            .for_each(|line| note(&format!("the engine notes: {line}")));
        let version = welcome.contract_version;
        if version != CONTRACT_VERSION && !self.breaks(Break::OffersOther) {
            let why = format!("the engine picks version {version} of the contract");
            let why = format!("{why}, which was not offered: it has to be {CONTRACT_VERSION}");
            return Err(Over::Failed(why));
        }
        self.breaks.print_secret(&welcome.resume_secret);
        self.identity = Some(Identity {
            session: welcome.session,
            secret: welcome.resume_secret,
            generation,
        });
        self.limits = bounds::known(welcome.limits.unwrap_or_default());
        self.pace.begin_again(welcome.heartbeat_interval_ms);
        if let Some(link) = &mut self.link {
            (link.welcome, link.window) = (true, welcome.log_window);
        }
        for token in &welcome.stale_tokens {
            self.stale(token);
        }
        let breaks = self.breaks;
        let begin_again = |held: &mut Held| held.begin_again(breaks);
        self.held.values_mut().for_each(begin_again);
        let is_resumed = generation > 0;
        match (self.stopping.is_some(), self.free()) {
            (true, _) => self.say_drain(),
            (false, 0) => {}
            _ if is_resumed && breaks.has(Break::NoCreditsAnew) => {}
            (false, free) => self.credits(free),
        }
        Ok(())
    }

    fn cancel(&mut self, cancel: &v1::Cancel) {
        let mut token = &cancel.token;
        if self.breaks(Break::UnknownCancels) && !self.held.contains_key(token) {
            let runs = |(token, held): (_, &Held)| held.runs().then_some(token);
            token = self.held.iter().find_map(runs).unwrap_or(token);
        }
        if cancel.grace_ms > 0 {
            let grace = Duration::from_millis(cancel.grace_ms);
            return self.tell_to_stop(&token.clone(), Why::Asked, grace);
        }
        // The claim is over already (R33).
        if self.breaks(Break::EndRunsOn) {
            self.let_go(&token.clone());
        } else if self.breaks(Break::ReportsTheEnd) {
            self.cut_off(&token.clone());
        } else {
            self.drop_task(&token.clone());
        }
    }

    /// It goes on with what it holds, and comes back after the goodbye (R76).
    fn engine_drains(&mut self, drain: &v1::Drain) {
        note(&format!("the engine drains: {}", drain.reason));
        if let Some(link) = &mut self.link {
            link.draining = true;
        }
        if self.breaks(Break::DrainStops) {
            let held: Vec<_> = self
                .held
                .iter()
                .map(|(token, held)| (token.clone(), held.grace))
                .collect();
            held.iter()
                .for_each(|(token, grace)| self.tell_to_stop(token, Why::Asked, *grace));
        }
    }

    /// The task's claim is over (R24). Lines that were said before its end still go out: the very report whose
    /// answer was lost may have ended the claim.
    pub(crate) fn stale(&mut self, token: &Bytes) {
        let Some(held) = self.held.get_mut(token) else {
            return;
        };
        match &held.stage {
            Stage::Runs if self.breaks.has(Break::StaleLogs) => {
                held.stage = Stage::Told;
                self.places_free(1);
            }
            Stage::Runs if self.breaks.has(Break::StaleReports) => self.cut_off(token),
            Stage::Runs if self.breaks.has(Break::StaleRunsOn) => drop(self.let_go(token)),
            Stage::Ended(_) if !self.breaks.has(Break::StaleDropsLines) => {
                held.stage = Stage::Told;
                self.past.put(token.clone(), Past::Gone);
                self.clear();
            }
            Stage::Runs | Stage::Ended(_) => self.drop_task(token),
            Stage::Told => {}
        }
    }

    fn settled(&mut self, settled: Settled) {
        self.pace.settled(settled);
        if let Some(link) = &mut self.link {
            link.settled(settled);
        }
        let is_kept =
            |sequence: Option<u64>| sequence.is_some_and(|sequence| settled.has(sequence));
        let mut elsewhere = 0;
        for (token, held) in &mut self.held {
            if let Some(kept) = held.checkpoint.take_if(|saying| is_kept(saying.sequence)) {
                // Whoever saved it may have been stopped.
                let _ = kept.reply.send(Ok(()));
            }
            if let Some(kept) = held.detaching.take_if(|saying| is_kept(saying.sequence)) {
                let _ = kept.reply.send(Ok(()));
                if held.runs() {
                    held.stage = match self.breaks.has(Break::ReportsDetached) {
                        true => Stage::Ended(Report::of_detached(token.clone())),
                        false => Stage::Told,
                    };
                    self.past.put(token.clone(), Past::Gone);
                    elsewhere += 1;
                }
            }
        }
        self.places_free(elsewhere);
        self.clear();
    }

    fn acknowledged(&mut self, acknowledgement: &v1::Acknowledgement) {
        for token in &acknowledgement.stale_tokens {
            self.stale(token);
        }
        for logs in &acknowledgement.logs {
            if let Some(held) = self.held.get_mut(&logs.token) {
                held.lines.acknowledged(logs.next_offset, logs.sealed);
            }
        }
        // What is refused is done with, too: so it is looked for first.
        for refused in &acknowledgement.refused {
            self.refused(refused);
        }
        self.settled(Settled::UpTo(acknowledgement.sequence));
    }

    /// The engine does not take what was said of a task that goes on. It is not sent again (R64).
    fn refused(&mut self, refused: &v1::RefusedMessage) {
        let Some(held) = self.held.get_mut(&refused.token) else {
            return;
        };
        let numbers = refused.first_sequence..=refused.sequence;
        let is_it =
            |sequence: Option<u64>| sequence.is_some_and(|sequence| numbers.contains(&sequence));
        let (token, why) = (refused.token.clone(), Err(refused.reason.clone()));
        // Whoever waits for an answer may have been stopped.
        match refused.kind() {
            v1::RefusedKind::Checkpoint => {
                if let Some(saying) = held.checkpoint.take_if(|saying| is_it(saying.sequence)) {
                    let _ = saying.reply.send(why);
                    if self.breaks(Break::CheckpointAgain) {
                        self.say(checkpoint(token, saying.what));
                    }
                }
            }
            v1::RefusedKind::Detached => {
                if let Some(saying) = held.detaching.take_if(|saying| is_it(saying.sequence)) {
                    let _ = saying.reply.send(why);
                    if self.breaks(Break::DetachedAgain) {
                        self.say(detached(token, saying.what));
                    }
                }
            }
            // Of a later contract.
            v1::RefusedKind::Unspecified => {}
        }
    }

    fn outcome(&mut self, outcome: &v1::ReportOutcome) {
        let Some(held) = self.held.get_mut(&outcome.token) else {
            return;
        };
        let Stage::Ended(waiting) = &mut held.stage else {
            return;
        };
        match outcome.status() {
            // Not told: it is sent again (R25).
            v1::ReportStatus::Unspecified => {
                waiting.untold = true;
                return;
            }
            v1::ReportStatus::Accepted | v1::ReportStatus::Already if waiting.twice => {
                (waiting.twice, waiting.sent) = (false, None);
                return;
            }
            v1::ReportStatus::Accepted | v1::ReportStatus::Already => {}
            v1::ReportStatus::Stale => note("a report came too late: its claim is over"),
            v1::ReportStatus::Invalid => {
                note(&format!("a report was not valid: {}", outcome.reason));
            }
        }
        let report = Box::new(waiting.report.clone());
        held.stage = Stage::Told;
        self.past.put(outcome.token.clone(), Past::Reported(report));
        self.clear();
    }

    /// Does what the reason asks for (R74).
    fn goodbye(&mut self, goodbye: &v1::Goodbye) -> Result<(), Over> {
        let after = Duration::from_millis(goodbye.retry_after_ms.unwrap_or(0));
        note(&format!(
            "goodbye, {}: {}",
            goodbye.reason().as_str_name(),
            goodbye.message
        ));
        let after = match self.breaks(Break::ComesBackAtOnce) {
            true => Duration::ZERO,
            false => after,
        };
        let reason = self.breaks.instead_of(goodbye.reason());
        match reason {
            GoodbyeReason::Refused | GoodbyeReason::Version => {
                let why = format!("the engine refuses this driver: {}", goodbye.message);
                return Err(Over::Failed(why));
            }
            GoodbyeReason::UnknownSession => {
                if self.breaks(Break::UnknownDrops) {
                    self.drop_all();
                }
                self.identity = None;
                self.disconnect(after);
            }
            GoodbyeReason::Replaced => {
                if !self.breaks(Break::ReplacedRunsOn) {
                    self.drop_all();
                }
                self.identity = None;
                self.disconnect(after.max(AFTER_MISTAKE));
            }
            GoodbyeReason::Limit => {
                if !self.breaks(Break::LimitSaysAgain) {
                    self.blame_last(&goodbye.message);
                }
                self.disconnect(after.max(AFTER_MISTAKE));
            }
            // What a later contract says is as `MOVED`.
            GoodbyeReason::Moved | GoodbyeReason::Unspecified => {
                let drained = self.link.as_ref().is_some_and(|link| link.draining);
                if drained && self.breaks(Break::DrainHello) {
                    self.identity = None;
                }
                self.disconnect(after);
            }
        }
        Ok(())
    }

    /// What it held is the other's.
    fn drop_all(&mut self) {
        let tokens: Vec<_> = self.held.keys().cloned().collect();
        tokens.iter().for_each(|token| self.drop_task(token));
    }

    /// It broke a limit, which the message names: what was said last is not said again as it was, where it can
    /// have been that.
    fn blame_last(&mut self, message: &str) {
        let names = |limits: &[&str]| limits.iter().any(|limit| message.contains(limit));
        let last = self.link.as_ref().and_then(|link| link.last_open());
        for held in self.held.values_mut() {
            let is_last = |sequence: Option<u64>| sequence.is_some() && sequence == last;
            if names(&["checkpoint_bytes", "message_bytes"])
                && let Some(saying) = held.checkpoint.take_if(|saying| is_last(saying.sequence))
            {
                // Whoever saved it may have been stopped.
                let _ = saying.reply.send(Err(message.to_owned()));
            }
            if names(&["outputs_bytes", "message_bytes"])
                && let Stage::Ended(report) = &mut held.stage
                && is_last(report.sequence)
            {
                report.report.result = Some(v1::Result {
                    last_log_offset: held.lines.last(),
                    ..too_long()
                });
            }
        }
    }
}

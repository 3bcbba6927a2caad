use super::DecodeError;
use crate::run::{
    AttemptState, Claim, Detached, EndedAttempt, Entry, Evaluated, Evaluation, Fact, Failure,
    Identity, Inherited, InheritedInstance, Items, LostCause, Record, Report, Site, Started,
    StepState, Stop, StopKind, TimerKey, TimerKind,
};
use crate::time::Time;
use crate::value::{Hash, Value};
use conveyor_proto::storage::v1 as wire;
use std::sync::Arc;
use wire::evaluation::Outcome;
use wire::fact::Fact as Body;
use wire::value::Place;

type Result<T> = std::result::Result<T, DecodeError>;

fn missing<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| DecodeError::new(format!("`{field}` is missing")))
}

fn unknown(field: &str, number: i32) -> DecodeError {
    DecodeError::new(format!("`{field}` has the unknown number {number}"))
}

pub(super) fn record(record: wire::Record) -> Result<Record> {
    if record.facts.is_empty() {
        return Err(DecodeError::new("`facts` is empty"));
    }
    Ok(Record {
        sequence: record.sequence,
        entries: record.facts.into_iter().map(entry).collect::<Result<_>>()?,
        digest: record.digest,
    })
}

fn entry(entry: wire::Fact) -> Result<Entry> {
    Ok(Entry {
        time: Time(entry.time_ms),
        fact: body(missing("fact", entry.fact)?)?,
        units: entry.units,
        evaluations: entry
            .evaluations
            .into_iter()
            .map(evaluation)
            .collect::<Result<_>>()?,
    })
}

fn body(body: Body) -> Result<Fact> {
    Ok(match body {
        Body::Started(started) => Fact::Started(Box::new(self::started(started)?)),
        Body::Claimed(claimed) => Fact::Claimed(Claim {
            id: identity(claimed.id)?,
            nonce: claimed.nonce,
            session: claimed.session.into(),
            version: claimed.version.into(),
            schema: claimed.schema.as_deref().map(hash).transpose()?,
        }),
        Body::Reported(reported) => Fact::Reported(Report {
            id: identity(reported.id)?,
            result: EndedAttempt {
                state: attempt_state(reported.state)?,
                outputs: reported.outputs.map(value).transpose()?,
                failure: reported.failure.map(failure).transpose()?,
            },
            last_log: reported.last_log,
        }),
        Body::Lost(lost) => Fact::Lost {
            id: identity(lost.id)?,
            cause: lost_cause(lost.cause)?,
        },
        Body::Checkpointed(checkpoint) => Fact::Checkpointed {
            id: identity(checkpoint.id)?,
            data: Arc::from(&checkpoint.data[..]),
        },
        Body::Detached(detached) => Fact::Detached(Detached {
            id: identity(detached.id)?,
            until: Time(detached.until_ms),
            principals: detached.principals.into_iter().map(Arc::from).collect(),
        }),
        Body::TimerDue(due) => Fact::TimerDue(TimerKey {
            kind: timer_kind(due.kind)?,
            step: due.step,
            instance: due.instance,
            arming: due.arming,
        }),
        Body::Stopped(stop) => Fact::Stopped(Stop {
            kind: stop_kind(stop.kind)?,
            actor: stop.actor.into(),
            reason: stop.reason.into(),
        }),
        Body::Paused(paused) => Fact::Paused {
            actor: paused.actor.into(),
            reason: paused.reason.into(),
        },
        Body::Resumed(resumed) => Fact::Resumed {
            actor: resumed.actor.into(),
            reason: resumed.reason.into(),
        },
        Body::Turn(_) => Fact::Turn,
    })
}

fn started(started: wire::Started) -> Result<Started> {
    Ok(Started {
        run: started.run.into(),
        document: hash(&started.document)?,
        semantics: started.semantics,
        inputs: value(missing("inputs", started.inputs)?)?,
        labels: started.labels.into_iter().collect(),
        annotations: started.annotations,
        actor: started.actor.into(),
        forked_from: started.forked_from.map(Into::into),
        inherited: started
            .inherited
            .into_iter()
            .map(inherited)
            .collect::<Result<_>>()?,
        resource: started.resource.map(value).transpose()?,
        event: started.event.map(value).transpose()?,
    })
}

fn inherited(from: wire::InheritedStep) -> Result<Inherited> {
    if !from.expanded && !from.instances.is_empty() {
        return Err(DecodeError::new(
            "an inherited step has instances and was not expanded",
        ));
    }
    let instances = from
        .instances
        .into_iter()
        .map(inherited_instance)
        .collect::<Result<_>>()?;
    Ok(Inherited {
        step: from.step.into(),
        state: step_state(from.state)?,
        allowed: from.allowed,
        instances: from.expanded.then_some(instances),
        items: from.items.map(items).transpose()?.map(Arc::new),
        reason: words(from.reason),
    })
}

fn inherited_instance(from: wire::InheritedInstance) -> Result<InheritedInstance> {
    Ok(InheritedInstance {
        state: step_state(from.state)?,
        allowed: from.allowed,
        outputs: from.outputs.map(value).transpose()?,
        failure: from.failure.map(failure).transpose()?,
        attempts: from.attempts,
        with: from.with.map(value).transpose()?,
        reason: words(from.reason),
    })
}

fn words(text: String) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn identity(id: Option<wire::Identity>) -> Result<Identity> {
    let id = missing("id", id)?;
    Ok(Identity {
        step: id.step,
        instance: id.instance,
        attempt: id.attempt,
    })
}

fn hash(bytes: &[u8]) -> Result<Hash> {
    let array = bytes.try_into();
    array
        .map(Hash)
        .map_err(|_| DecodeError::new(format!("a hash of {} bytes", bytes.len())))
}

fn value(value: wire::Value) -> Result<Value> {
    Ok(match missing("value.place", value.place)? {
        Place::Inline(text) => Value::Inline(Arc::from(&text[..])),
        Place::Stored(stored) => Value::Stored {
            hash: hash(&stored.hash)?,
            len: stored.length,
        },
    })
}

fn failure(from: wire::Failure) -> Result<Failure> {
    Ok(Failure {
        code: from.code.into(),
        message: from.message.into(),
        details: from.details.map(value).transpose()?,
        retryable: from.retryable,
        retry_after_millis: from.retry_after_ms,
    })
}

fn evaluation(from: wire::Evaluation) -> Result<Evaluation> {
    let outcome = match missing("outcome", from.outcome)? {
        Outcome::Condition(truth) => Ok(Evaluated::Bool(truth)),
        Outcome::Value(json) => Ok(Evaluated::Value(value(json)?)),
        Outcome::Items(list) => Ok(Evaluated::Items(Arc::new(items(list)?))),
        Outcome::Error(message) => Err(message.into()),
    };
    Ok(Evaluation {
        site: site(from.site)?,
        step: from.step,
        instance: from.instance,
        outcome,
    })
}

fn items(list: wire::Items) -> Result<Items> {
    let page = |page: wire::ItemPage| Ok((page.count, value(missing("list", page.list)?)?));
    let pages = list
        .pages
        .into_iter()
        .map(page)
        .collect::<Result<Vec<_>>>()?;
    Items::from_pages(pages.into_iter())
        .ok_or_else(|| DecodeError::new("a page of items has none, or all pages too many"))
}

fn attempt_state(number: i32) -> Result<AttemptState> {
    let code = u8::try_from(number).ok().and_then(AttemptState::from_code);
    code.ok_or_else(|| unknown("attempt state", number))
}

fn step_state(number: i32) -> Result<StepState> {
    let code = u8::try_from(number).ok().and_then(StepState::from_code);
    code.ok_or_else(|| unknown("step state", number))
}

fn lost_cause(number: i32) -> Result<LostCause> {
    match wire::LostCause::try_from(number) {
        Ok(wire::LostCause::Lease) => Ok(LostCause::Lease),
        Ok(wire::LostCause::Refused) => Ok(LostCause::Refused),
        Ok(wire::LostCause::Undelivered) => Ok(LostCause::Undelivered),
        Ok(wire::LostCause::ProcessDead) => Ok(LostCause::ProcessDead),
        _ => Err(unknown("lost cause", number)),
    }
}

fn stop_kind(number: i32) -> Result<StopKind> {
    match wire::StopKind::try_from(number) {
        Ok(wire::StopKind::Drain) => Ok(StopKind::Drain),
        Ok(wire::StopKind::Cancel) => Ok(StopKind::Cancel),
        Ok(wire::StopKind::Terminate) => Ok(StopKind::Terminate),
        _ => Err(unknown("stop kind", number)),
    }
}

fn timer_kind(number: i32) -> Result<TimerKind> {
    match wire::TimerKind::try_from(number) {
        Ok(wire::TimerKind::Queue) => Ok(TimerKind::Queue),
        Ok(wire::TimerKind::Attempt) => Ok(TimerKind::Attempt),
        Ok(wire::TimerKind::Grace) => Ok(TimerKind::Grace),
        Ok(wire::TimerKind::Total) => Ok(TimerKind::Total),
        Ok(wire::TimerKind::Backoff) => Ok(TimerKind::Backoff),
        Ok(wire::TimerKind::Wait) => Ok(TimerKind::Wait),
        Ok(wire::TimerKind::Run) => Ok(TimerKind::Run),
        Ok(wire::TimerKind::Finally) => Ok(TimerKind::Finally),
        _ => Err(unknown("timer kind", number)),
    }
}

fn site(number: i32) -> Result<Site> {
    match wire::Site::try_from(number) {
        Ok(wire::Site::Rule) => Ok(Site::Rule),
        Ok(wire::Site::When) => Ok(Site::When),
        Ok(wire::Site::Items) => Ok(Site::Items),
        Ok(wire::Site::With) => Ok(Site::With),
        Ok(wire::Site::Rewith) => Ok(Site::Rewith),
        Ok(wire::Site::Transform) => Ok(Site::Transform),
        Ok(wire::Site::Wait) => Ok(Site::Wait),
        Ok(wire::Site::RetryIf) => Ok(Site::RetryIf),
        Ok(wire::Site::AllowFailure) => Ok(Site::AllowFailure),
        Ok(wire::Site::OutputCheck) => Ok(Site::OutputCheck),
        Ok(wire::Site::Vars) => Ok(Site::Vars),
        Ok(wire::Site::RunOutputs) => Ok(Site::RunOutputs),
        _ => Err(unknown("site", number)),
    }
}

use crate::run::{
    Entry, Evaluated, Evaluation, Fact, Failure, Identity, Inherited, InheritedInstance, Items,
    LostCause, Record, Site, Started, StopKind, TimerKind,
};
use crate::value::Value;
use conveyor_proto::storage::v1 as wire;
use std::sync::Arc;
use wire::evaluation::Outcome;
use wire::fact::Fact as Body;
use wire::value::Place;

pub(super) fn record(record: &Record) -> wire::Record {
    wire::Record {
        sequence: record.sequence,
        facts: record.entries.iter().map(entry).collect(),
        digest: record.digest,
    }
}

fn entry(entry: &Entry) -> wire::Fact {
    wire::Fact {
        time_ms: entry.time.0,
        fact: Some(body(&entry.fact)),
        units: entry.units,
        evaluations: entry.evaluations.iter().map(evaluation).collect(),
    }
}

fn body(fact: &Fact) -> Body {
    match fact {
        Fact::Started(started) => Body::Started(self::started(started)),
        Fact::Claimed(claim) => Body::Claimed(wire::Claimed {
            id: Some(identity(claim.id)),
            nonce: claim.nonce,
            session: claim.session.to_string(),
            version: claim.version.to_string(),
            schema: claim.schema.map(|digest| digest.0.to_vec().into()),
        }),
        Fact::Reported(report) => Body::Reported(wire::Reported {
            id: Some(identity(report.id)),
            state: report.result.state.code().into(),
            outputs: report.result.outputs.as_ref().map(value),
            failure: report.result.failure.as_ref().map(failure),
            last_log: report.last_log,
        }),
        Fact::Lost { id, cause } => Body::Lost(wire::Lost {
            id: Some(identity(*id)),
            cause: lost_cause(*cause).into(),
        }),
        Fact::Checkpointed { id, data } => Body::Checkpointed(wire::Checkpointed {
            id: Some(identity(*id)),
            data: data.to_vec().into(),
        }),
        Fact::Detached(detached) => Body::Detached(wire::Detached {
            id: Some(identity(detached.id)),
            until_ms: detached.until.0,
            principals: detached
                .principals
                .iter()
                .map(ToString::to_string)
                .collect(),
        }),
        Fact::TimerDue(key) => Body::TimerDue(wire::TimerDue {
            kind: timer_kind(key.kind).into(),
            step: key.step,
            instance: key.instance,
            arming: key.arming,
        }),
        Fact::Stopped(stop) => Body::Stopped(wire::Stopped {
            kind: stop_kind(stop.kind).into(),
            actor: stop.actor.to_string(),
            reason: stop.reason.to_string(),
        }),
        Fact::Paused { actor, reason } => Body::Paused(wire::Paused {
            actor: actor.to_string(),
            reason: reason.to_string(),
        }),
        Fact::Resumed { actor, reason } => Body::Resumed(wire::Resumed {
            actor: actor.to_string(),
            reason: reason.to_string(),
        }),
        Fact::Turn => Body::Turn(wire::Turn {}),
    }
}

fn started(started: &Started) -> wire::Started {
    wire::Started {
        run: started.run.to_string(),
        document: started.document.0.to_vec().into(),
        semantics: started.semantics,
        inputs: Some(value(&started.inputs)),
        labels: started.labels.clone().into_iter().collect(),
        annotations: started.annotations.clone(),
        actor: started.actor.to_string(),
        forked_from: started.forked_from.as_ref().map(ToString::to_string),
        inherited: started.inherited.iter().map(inherited).collect(),
        resource: started.resource.as_ref().map(value),
        event: started.event.as_ref().map(value),
    }
}

fn inherited(from: &Inherited) -> wire::InheritedStep {
    wire::InheritedStep {
        step: from.step.to_string(),
        state: from.state.code().into(),
        allowed: from.allowed,
        expanded: from.instances.is_some(),
        instances: from
            .instances
            .iter()
            .flatten()
            .map(inherited_instance)
            .collect(),
        items: from.items.as_deref().map(items),
        reason: words(from.reason.as_ref()),
    }
}

fn inherited_instance(from: &InheritedInstance) -> wire::InheritedInstance {
    wire::InheritedInstance {
        state: from.state.code().into(),
        allowed: from.allowed,
        outputs: from.outputs.as_ref().map(value),
        failure: from.failure.as_ref().map(failure),
        attempts: from.attempts,
        with: from.with.as_ref().map(value),
        reason: words(from.reason.as_ref()),
    }
}

fn items(items: &Items) -> wire::Items {
    let page = |(count, list)| wire::ItemPage {
        count,
        list: Some(value(list)),
    };
    wire::Items {
        pages: items.pages().map(page).collect(),
    }
}

fn words(text: Option<&Arc<str>>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

fn identity(id: Identity) -> wire::Identity {
    wire::Identity {
        step: id.step,
        instance: id.instance,
        attempt: id.attempt,
    }
}

fn value(value: &Value) -> wire::Value {
    let place = match value {
        Value::Inline(text) => Place::Inline(text.to_vec().into()),
        Value::Stored { hash, len } => Place::Stored(wire::StoredValue {
            hash: hash.0.to_vec().into(),
            length: *len,
        }),
    };
    wire::Value { place: Some(place) }
}

fn failure(failure: &Failure) -> wire::Failure {
    wire::Failure {
        code: failure.code.to_string(),
        message: failure.message.to_string(),
        details: failure.details.as_ref().map(value),
        retryable: failure.retryable,
        retry_after_ms: failure.retry_after_millis,
    }
}

fn evaluation(evaluation: &Evaluation) -> wire::Evaluation {
    let outcome = match &evaluation.outcome {
        Ok(Evaluated::Bool(truth)) => Outcome::Condition(*truth),
        Ok(Evaluated::Value(json)) => Outcome::Value(value(json)),
        Ok(Evaluated::Items(list)) => Outcome::Items(items(list)),
        Err(message) => Outcome::Error(message.to_string()),
    };
    wire::Evaluation {
        site: site(evaluation.site).into(),
        step: evaluation.step,
        instance: evaluation.instance,
        outcome: Some(outcome),
    }
}

fn lost_cause(cause: LostCause) -> wire::LostCause {
    match cause {
        LostCause::Lease => wire::LostCause::Lease,
        LostCause::Refused => wire::LostCause::Refused,
        LostCause::Undelivered => wire::LostCause::Undelivered,
        LostCause::ProcessDead => wire::LostCause::ProcessDead,
    }
}

fn stop_kind(kind: StopKind) -> wire::StopKind {
    match kind {
        StopKind::Drain => wire::StopKind::Drain,
        StopKind::Cancel => wire::StopKind::Cancel,
        StopKind::Terminate => wire::StopKind::Terminate,
    }
}

fn timer_kind(kind: TimerKind) -> wire::TimerKind {
    match kind {
        TimerKind::Queue => wire::TimerKind::Queue,
        TimerKind::Attempt => wire::TimerKind::Attempt,
        TimerKind::Grace => wire::TimerKind::Grace,
        TimerKind::Total => wire::TimerKind::Total,
        TimerKind::Backoff => wire::TimerKind::Backoff,
        TimerKind::Wait => wire::TimerKind::Wait,
        TimerKind::Run => wire::TimerKind::Run,
        TimerKind::Finally => wire::TimerKind::Finally,
    }
}

fn site(site: Site) -> wire::Site {
    match site {
        Site::Rule => wire::Site::Rule,
        Site::When => wire::Site::When,
        Site::Items => wire::Site::Items,
        Site::With => wire::Site::With,
        Site::Rewith => wire::Site::Rewith,
        Site::Transform => wire::Site::Transform,
        Site::Wait => wire::Site::Wait,
        Site::RetryIf => wire::Site::RetryIf,
        Site::AllowFailure => wire::Site::AllowFailure,
        Site::OutputCheck => wire::Site::OutputCheck,
        Site::Vars => wire::Site::Vars,
        Site::RunOutputs => wire::Site::RunOutputs,
    }
}

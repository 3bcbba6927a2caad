//! One task from `with` to outcome.

use crate::connect::Trust;
use crate::exchange::{Answer, Ask, exchange, is_redirect};
use crate::failure::{of_status, permanent, unanswered};
use crate::outputs;
use crate::policy::Policy;
use crate::secrets::Secrets;
use crate::target::Target;
use crate::with::{With, schema};
use bytes::Bytes;
use conveyor_sdk::{Action, Driver, Failure, Task};
use http::{Method, StatusCode, header};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// What all tasks share.
pub(crate) struct Means {
    pub(crate) policy: Policy,
    pub(crate) tls: TlsConnector,
}

/// The driver `http`: makes HTTP requests to where the policy permits.
///
/// ```
/// use conveyor_driver_http::{Policy, Trust, driver};
/// assert_eq!(driver(Policy::default(), Trust::default()).unwrap().name(), "http");
/// ```
///
/// # Errors
/// When TLS cannot be set up.
pub fn driver(policy: Policy, trust: Trust) -> Result<Driver, Failure> {
    let tls = trust.connector()?;
    let means = Arc::new(Means { policy, tls });
    let request = Action::new("request")
        .description("Makes an HTTP request.")
        .inputs(schema())
        .outputs(outputs::schema());
    Ok(Driver::new("http")
        .version(env!("CARGO_PKG_VERSION"))
        .action(request, move |task| attempt(Arc::clone(&means), task)))
}

async fn attempt(means: Arc<Means>, task: Task) -> Result<Value, Failure> {
    let secrets = Secrets(&task.secrets);
    let with = With::read(&task, &secrets)?;
    let begin = Instant::now();
    let answered = tokio::select! {
        // What is told to stop asks nothing any more.
        biased;
        _ = task.cancelled() => return Err(Failure::cancelled()),
        answered = tokio::time::timeout(with.timeout, answer(&means, &with, &task)) => answered,
    };
    let late = || {
        let message = format!("no whole answer within {:?}", with.timeout);
        unanswered("timeout", message, &with.method)
    };
    let answered = answered.unwrap_or_else(|_| Err(late()));
    // A message may quote what a server said.
    let (target, answer) = answered.map_err(|mut failure| {
        failure.message = secrets.masked(&failure.message);
        failure
    })?;
    let (status, bytes) = (answer.status, answer.body.len());
    let said = format!("{} {target}: {status}", with.method);
    let said = secrets.masked(&said);
    let millis = begin.elapsed().as_millis();
    task.log
        .info(format!("{said}, {bytes} bytes in {millis} ms"));
    let outputs = outputs::outputs(&answer, &secrets);
    if with.expects(status) {
        return Ok(outputs);
    }
    let message = format!("{said}, expected {}", with.expectation());
    Err(of_status(message, status, &answer.headers).outputs(outputs))
}

/// The answer, after all redirects that are followed.
async fn answer(means: &Means, with: &With, task: &Task) -> Result<(Target, Answer), Failure> {
    let mut ask = Ask {
        target: Target::parse(&with.url)?,
        method: with.method.clone(),
        headers: with.headers.clone(),
        body: with.body.clone(),
    };
    let mut followed = 0;
    loop {
        let answer = exchange(means, &ask, with.max_bytes).await?;
        // A redirect that is expected is an answer.
        if !is_redirect(answer.status) || with.expects(answer.status) {
            return Ok((ask.target, answer));
        }
        let Some(location) = answer.headers.get(header::LOCATION) else {
            return Ok((ask.target, answer));
        };
        if followed == with.redirects {
            let message = format!(
                "{} {}: another redirect after {followed}; the limit `redirects` is {followed}",
                ask.method, ask.target
            );
            return Err(permanent("too_many_redirects", message));
        }
        followed += 1;
        let location = location.to_str().map_err(|_| {
            let message = format!("{}: it redirects to what is no address", ask.target);
            permanent("invalid_url", message)
        })?;
        let next = ask.target.follow(location)?;
        let secrets = Secrets(&task.secrets);
        task.log.info(secrets.masked(&format!(
            "{} {}: {}, to {next}",
            ask.method, ask.target, answer.status
        )));
        redirect(&mut ask, with, answer.status, next)?;
    }
}

/// Asks elsewhere. What is another server's gets no secret of this one.
fn redirect(ask: &mut Ask, with: &With, status: StatusCode, next: Target) -> Result<(), Failure> {
    let becomes_get = match status {
        StatusCode::SEE_OTHER => ask.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => ask.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        ask.method = Method::GET;
        ask.body = Bytes::new();
        ask.headers.remove(header::CONTENT_TYPE);
    }
    if !ask.target.same_origin(&next) {
        let own = [header::AUTHORIZATION, header::COOKIE];
        for name in with.secret_headers.iter().chain(&own) {
            ask.headers.remove(name);
        }
        if with.secret_body && !ask.body.is_empty() {
            let message = format!(
                "{} redirects to {next}, another server, and the body is a secret",
                ask.target
            );
            return Err(permanent("redirect_refused", message));
        }
    }
    ask.target = next;
    Ok(())
}

//! How each end is told: a code for programs, a sentence for people.

use conveyor_sdk::Failure;
use http::{Method, StatusCode, header};
use std::time::{Duration, SystemTime};

/// A failure that another try cannot mend.
pub(crate) fn permanent(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(code, message).permanent()
}

/// A failure that another try may mend.
pub(crate) fn passing(code: &str, message: impl Into<String>) -> Failure {
    Failure::new(code, message).retryable()
}

/// A failure after the request was sent: another try is safe where the method is one that may come twice.
/// Else the document decides.
pub(crate) fn unanswered(code: &str, message: impl Into<String>, method: &Method) -> Failure {
    let failure = Failure::new(code, message);
    match method.is_idempotent() {
        true => failure.retryable(),
        false => failure,
    }
}

/// A status that was not expected.
pub(crate) fn of_status(message: String, status: StatusCode, headers: &http::HeaderMap) -> Failure {
    let failure = Failure::new("unexpected_status", message);
    let failure = failure.details(serde_json::json!({ "status": status.as_u16() }));
    let passes = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY
        );
    if !passes {
        return failure.permanent();
    }
    let asked = headers.get(header::RETRY_AFTER);
    let asked = asked.and_then(|value| value.to_str().ok());
    match asked.and_then(|text| retry_after(text, SystemTime::now())) {
        Some(delay) => failure.retry_after(delay),
        None => failure.retryable(),
    }
}

/// `Retry-After`: seconds, or an instant.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    // One that has passed means: now.
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_an_instant() {
        let now = httpdate::parse_http_date("Fri, 27 Nov 2026 10:00:00 GMT").expect("a date");
        let of = |text| retry_after(text, now);
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        let later = of("Fri, 27 Nov 2026 10:01:30 GMT");
        assert_eq!(later, Some(Duration::from_secs(90)));
        assert_eq!(of("Fri, 27 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }
}

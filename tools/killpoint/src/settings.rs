use libc::c_int;
use std::ffi::CString;

/// Before or after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// Which sequence of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Sync,
    Write,
}

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) kill: Option<(Moment, u64)>,
    pub(crate) count: Option<CString>,
    failures: Vec<Failure>,
}

#[derive(Debug)]
struct Failure {
    call: Call,
    errno: c_int,
    first: u64,
    last: u64,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let mut settings = Self::default();
        if let Ok(text) = std::env::var("CONVEYOR_KILLPOINT") {
            settings.kill = Some(kill(&text)?);
        }
        if let Ok(text) = std::env::var("CONVEYOR_FAILPOINT") {
            settings.failures = text.split(',').map(failure).collect::<Result<_, _>>()?;
        }
        if let Ok(path) = std::env::var("CONVEYOR_KILLPOINT_COUNT") {
            settings.count = Some(CString::new(path).map_err(|error| error.to_string())?);
        }
        Ok(settings)
    }

    pub(crate) fn failure(&self, call: Call, count: u64) -> Option<c_int> {
        self.failures
            .iter()
            .find(|failure| failure.call == call && (failure.first..=failure.last).contains(&count))
            .map(|failure| failure.errno)
    }
}

fn kill(text: &str) -> Result<(Moment, u64), String> {
    let wrong = || format!("CONVEYOR_KILLPOINT is `{text}`, expected `before:N` or `after:N`");
    let (moment, count) = text.split_once(':').ok_or_else(wrong)?;
    let moment = match moment {
        "before" => Moment::Before,
        "after" => Moment::After,
        _ => return Err(wrong()),
    };
    Ok((moment, count.parse().map_err(|_| wrong())?))
}

fn failure(text: &str) -> Result<Failure, String> {
    let wrong = || {
        format!(
            "CONVEYOR_FAILPOINT is `{text}`, expected `fdatasync|write:ENOSPC|EIO|EDQUOT:FIRST-LAST`"
        )
    };
    let mut parts = text.split(':');
    let (Some(call), Some(errno), Some(range), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let call = match call {
        "fdatasync" => Call::Sync,
        "write" => Call::Write,
        _ => return Err(wrong()),
    };
    let errno = match errno {
        "ENOSPC" => libc::ENOSPC,
        "EIO" => libc::EIO,
        "EDQUOT" => libc::EDQUOT,
        _ => return Err(wrong()),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first = first.parse().map_err(|_| wrong())?;
    let last = last.parse().map_err(|_| wrong())?;
    Ok(Failure {
        call,
        errno,
        first,
        last,
    })
}

use crate::render::human::printable;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Good,
    /// It works, and may not for long, or not well.
    Doubtful,
    /// It does not work, or not safely.
    Wrong,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Doubtful => "warning",
            State::Wrong => "wrong",
        }
    }
}

/// A line of the report.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) found: String,
    /// What to do; empty where there is nothing to do.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn good(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            state: State::Good,
            found: found.into(),
            advice: String::new(),
        }
    }

    pub(super) fn doubtful(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Doubtful,
            advice: advice.into(),
            ..Finding::good(check, found)
        }
    }

    pub(super) fn wrong(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Wrong,
            advice: advice.into(),
            ..Finding::good(check, found)
        }
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let Finding {
            check,
            state,
            found,
            advice,
        } = self;
        let advice = match advice.as_str() {
            "" => String::new(),
            advice => format!("; {advice}"),
        };
        let told = printable(&format!("{found}{advice}"));
        format!("{:7}  {check}: {told}\n", state.word())
    }
}

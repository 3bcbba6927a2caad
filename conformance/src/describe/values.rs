//! What the values of axes mean.

use crate::names::Axis;

/// What a value means, as a part of a sentence; empty for one that says all by itself.
pub(super) fn meaning(axis: Axis, value: &str) -> String {
    match axis {
        Axis::Transport => transport(value).to_owned(),
        Axis::Fault => fault(value).to_owned(),
        Axis::Concurrency => match value.parse::<u32>() {
            Ok(count) if count > 1 => format!(
                "the driver holds {} other tasks meanwhile, which end with the case",
                count - 1
            ),
            _ => "the case's own tasks alone".to_owned(),
        },
        Axis::Backend => String::new(),
        Axis::Sample => "the action or the sample of the config".to_owned(),
    }
}

fn transport(value: &str) -> &'static str {
    match value {
        "tcp" => "a stream of gRPC, over TCP",
        "tls" => "a stream of gRPC, over TLS",
        "unix" => "a stream of gRPC, over a Unix socket",
        "unary" => "calls of gRPC, without a stream",
        "rest" => "calls as JSON over HTTP",
        _ => "",
    }
}

fn fault(value: &str) -> &'static str {
    match value {
        "none" => "nothing goes wrong",
        "restart" => "the engine is killed and started again, once a task is accepted",
        "cut" => {
            "the connections are cut at one of the messages after a task was accepted; the seed says which"
        }
        "half-open" => {
            "once a task is accepted, the network says nothing for 1.5 s, and is cut then"
        }
        "double-acknowledgements" => "what the engine acknowledges or answers comes twice",
        "late-acknowledgements" => "what the engine acknowledges or answers comes 250 ms late",
        "slow" => "tasks, acknowledgements, answers and log windows come 60 ms late",
        "clock-jump" => "the engine's clock is put forward by 10 s, once a task is accepted",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::FAULTS;
    use crate::site::Transport;

    #[test]
    fn each_value_has_a_meaning() {
        for transport in Transport::ALL {
            assert!(
                !meaning(Axis::Transport, transport.name()).is_empty(),
                "{transport:?}"
            );
        }
        for fault in FAULTS.iter().chain(&["none"]) {
            assert!(!meaning(Axis::Fault, fault).is_empty(), "{fault}");
        }
        assert_eq!(
            meaning(Axis::Concurrency, "64"),
            "the driver holds 63 other tasks meanwhile, which end with the case"
        );
    }
}

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
        Axis::Sample => "the action or the sample of the config".to_owned(),
    }
}

fn transport(value: &str) -> &'static str {
    match value {
        "tcp" => "a stream of gRPC, over TCP",
        "tls" => "a stream of gRPC, over TLS",
        "unix" => "a stream of gRPC, over a Unix socket",
        "unary" => "calls of gRPC, without a stream",
        "unary-tls" => "calls of gRPC, over TLS",
        "unary-unix" => "calls of gRPC, over a Unix socket",
        "rest" => "calls as JSON over HTTP",
        "rest-tls" => "calls as JSON over HTTPS",
        "rest-unix" => "calls as JSON over HTTP, over a Unix socket",
        _ => "",
    }
}

fn fault(value: &str) -> &'static str {
    match value {
        "none" => "nothing goes wrong",
        "restart" => "the engine is killed and started again, once a task is accepted",
        "cut" => {
            "the connections are cut in the place of one of the first three messages behind a task; the seed says which"
        }
        "half-open" => {
            "once a task is accepted, the network says nothing for 1.5 s, and is cut then"
        }
        "double-acknowledgements" => "what the engine acknowledges or answers comes twice",
        "late-acknowledgements" => "what the engine acknowledges or answers comes 250 ms late",
        "slow" => "tasks, acknowledgements, answers and log windows come 60 ms late",
        "clock-jump" => {
            "the engine's clock is put forward by 10 s once a task is accepted, and again once it is reported"
        }
        "lease-lost" => "the network says nothing until the engine gives the task anew",
        _ if value.starts_with("cut-") => {
            "the connections are cut in the place of the message of this number behind a task"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::faults::FAULTS;
    use crate::site::Transport;

    #[test]
    fn each_value_has_a_meaning() {
        for transport in Transport::ALL {
            assert!(
                !meaning(Axis::Transport, transport.name()).is_empty(),
                "{transport:?}"
            );
        }
        for fault in FAULTS.iter().chain(&["none", "cut-1"]) {
            assert!(!meaning(Axis::Fault, fault).is_empty(), "{fault}");
        }
        assert_eq!(
            meaning(Axis::Concurrency, "64"),
            "the driver holds 63 other tasks meanwhile, which end with the case"
        );
    }
}

//! `cancel`, `drain`, `terminate`, `pause`, `resume`.

use super::{actor, reading, with_engine};
use crate::args::StopArgs;
use crate::client::run_view;
use crate::exit::Exit;
use crate::terminal;
use conveyor_proto::v1;

/// `conveyor cancel`.
pub(crate) fn cancel(args: StopArgs) -> Exit {
    stop(args, v1::StopKind::Cancel)
}

/// `conveyor drain`.
pub(crate) fn drain(args: StopArgs) -> Exit {
    stop(args, v1::StopKind::Drain)
}

/// `conveyor terminate`.
pub(crate) fn terminate(args: StopArgs) -> Exit {
    stop(args, v1::StopKind::Terminate)
}

fn stop(args: StopArgs, kind: v1::StopKind) -> Exit {
    with_engine(reading(args.data_dir), async |engine| {
        let request = v1::StopRunRequest {
            run: args.run,
            kind: kind.into(),
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().stop_run(request).await?.into_inner();
        Ok(tell(answer.run, &answer.no_effect))
    })
}

/// `conveyor pause`.
pub(crate) fn pause(args: StopArgs) -> Exit {
    with_engine(reading(args.data_dir), async |engine| {
        let request = v1::PauseRunRequest {
            run: args.run,
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().pause_run(request).await?.into_inner();
        Ok(tell(answer.run, &answer.no_effect))
    })
}

/// `conveyor resume`.
pub(crate) fn resume(args: StopArgs) -> Exit {
    with_engine(reading(args.data_dir), async |engine| {
        let request = v1::ResumeRunRequest {
            run: args.run,
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().resume_run(request).await?.into_inner();
        Ok(tell(answer.run, &answer.no_effect))
    })
}

fn tell(run: Option<v1::Run>, no_effect: &str) -> Exit {
    let view = run_view(&run.unwrap_or_default(), &[]);
    let note = match no_effect {
        "" => String::new(),
        why => format!(" (no effect: {why})"),
    };
    terminal::print(&format!("run {} {}{note}\n", view.id, view.word()));
    Exit::Succeeded
}

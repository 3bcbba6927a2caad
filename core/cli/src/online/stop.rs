//! `cancel`, `drain`, `terminate`, `pause`, `resume`.

use super::{actor, reading, tell, with_engine};
use crate::args::StopArgs;
use crate::exit::Exit;
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
    with_engine(reading(&args.place), async |engine| {
        let request = v1::StopRunRequest {
            run: args.run,
            kind: kind.into(),
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().stop_run(request).await?.into_inner();
        tell(answer.run, &answer.no_effect, args.form)
    })
}

/// `conveyor pause`.
pub(crate) fn pause(args: StopArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        let request = v1::PauseRunRequest {
            run: args.run,
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().pause_run(request).await?.into_inner();
        tell(answer.run, &answer.no_effect, args.form)
    })
}

/// `conveyor resume`.
pub(crate) fn resume(args: StopArgs) -> Exit {
    with_engine(reading(&args.place), async |engine| {
        let request = v1::ResumeRunRequest {
            run: args.run,
            actor: actor(),
            reason: args.reason,
        };
        let answer = engine.client().resume_run(request).await?.into_inner();
        tell(answer.run, &answer.no_effect, args.form)
    })
}

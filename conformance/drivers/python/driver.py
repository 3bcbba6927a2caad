"""A driver of the conformance suite in plain Python: the contract over grpcio's stubs, without any SDK.

Run it by `run.sh`, after `setup.sh`. docs/driver-contract.md is what it keeps (R1–R78), interpreter.proto what its one
action performs.

| module | what it is for |
| --- | --- |
| `launch` | how it is started |
| `interpreter` | user code: performs programs, each in a thread of its own |
| `mask` | secrets in what it says |
| `held`, `logs` | what is known of a task, and its lines |
| `runtime` | what is owed whatever way it talks: starts, stops, reports |
| `session` | over a stream |
| `polled` | by calls: `unary` and `rest` |
| `calls`, `forms` | gRPC's channel, calls as JSON over HTTP, and JSON's forms of messages |
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

sys.path.insert(0, os.path.join(sys.prefix, "stubs"))
# What breaks is told once, by the driver: gRPC would say each try.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import launch  # noqa: E402  (the stubs' place is known only now)
from polled import PolledSession  # noqa: E402
from runtime import Ended, Runtime, say  # noqa: E402
from session import StreamSession  # noqa: E402

# How long a thread may compute before it gives way to another, in seconds: the usual 5 ms for each of 64 threads
# that compute would be late heartbeats.
SWITCH = 0.0001


async def run(told: launch.Launch) -> None:
    session: Runtime
    session = StreamSession(told) if told.transport == "stream" else PolledSession(told)
    for number in (signal.SIGTERM, signal.SIGINT):
        session.loop.add_signal_handler(number, session.told_to_stop)
    await session.run()


def main() -> int:
    sys.setswitchinterval(SWITCH)
    try:
        asyncio.run(run(launch.read()))
    except (Ended, ValueError) as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Threads of user code that were given up cannot be ended otherwise.
    os._exit(status)

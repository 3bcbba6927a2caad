"""Drivers that misbehave, over JSON and with nothing but the standard library: `stranger.py HOW`."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

HOW = sys.argv[1]
AT = urlsplit(os.environ["CONVEYOR_URL"])
CONNECTION = http.client.HTTPConnection(AT.hostname, AT.port)


def call(name: str, body: dict) -> dict:
    headers = {"content-type": "application/json"}
    CONNECTION.request("POST", f"/v1/driver/{name}", json.dumps(body), headers)
    answer = CONNECTION.getresponse()
    text = answer.read()
    return json.loads(text) if answer.status == 200 else {"status": answer.status}


def register(versions: list[int], capacity: int) -> dict:
    hello = {
        "driver": os.environ["CONVEYOR_CONFORMANCE_DRIVER"],
        "version": "1.0.0",
        "sdk": "a stranger",
        "contract_versions": versions,
        "capabilities": ["rest"],
        "capacity": capacity,
        "instance": str(os.getpid()),
        "actions": [{"name": "interpret"}],
    }
    welcome = call("register", {"hello": hello}).get("welcome", {})
    return {key: welcome[key] for key in ("session", "resume_secret") if key in welcome}


def poll(session: dict) -> dict:
    request = {**session, "request_id": str(time.monotonic_ns()), "max_tasks": 1, "wait_ms": 10000}
    return call("poll", request)


def flood(stream: int, size: int) -> None:
    line = b"x" * 999 + b"\n"
    for _ in range(size // len(line)):
        os.write(stream, line)


match HOW:
    case "version":
        register([99], 1)
        while True:
            time.sleep(60)
    case "silent":
        register([1], 1)
        while True:
            time.sleep(60)
    case "heartbeats":
        session = register([1], 1)
        while True:
            call("heartbeat", {**session, "tasks": []})
    case "capacity":
        session = register([1], 2**32 - 1)
        while True:
            poll(session)
    case "error":
        session = register([1], 1)
        flood(2, 100_000_000)
        while True:
            poll(session)
    case "output":
        session = register([1], 1)
        flood(1, 100_000_000)
        while True:
            poll(session)
    case "line":
        session = register([1], 1)
        while True:
            os.write(2, b"x" * 65536)
    case "late-output":
        # At the first meeting nothing is seen of it.
        session = register([1], 1)
        if "tasks" in poll(session):
            os.write(1, b"a task has come\n")
        while True:
            poll(session)
    case "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        session = register([1], 1)
        while True:
            poll(session)
    case "exits":
        session = register([1], 1)
        if "tasks" in poll(session):
            print("that is too much", file=sys.stderr)
            os._exit(3)
    case "daemons" | "strays":
        # All in sessions of their own: an orphan, a child that knows nothing of its driver, and a stray, which is both.
        sleep = f"exec -a {os.environ['STRANGER']} sleep 600"
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        session = register([1], 1)
        for environment, command in (
            (None, ["bash", "-c", f"setsid bash -c '{sleep}' &"]),
            ({"PATH": os.environ["PATH"]}, ["bash", "-c", sleep]),
            ({"PATH": os.environ["PATH"]}, ["bash", "-c", f"setsid bash -c '{sleep}' &"]),
        )[: 3 if HOW == "strays" else 2]:
            subprocess.Popen(command, env=environment, start_new_session=True, **nothing)
        while True:
            poll(session)
    case _:
        sys.exit(f"there is no stranger `{HOW}`")

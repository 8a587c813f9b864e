"""``python -m edge run``, ``status``, ``doctor`` and ``retry``: the agent's own commands."""

import argparse
import json
import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge.cli.options import Option
from edge.cli.wording import pluralize
from edge.inference.errors import UserError

logger = logging.getLogger(__name__)

CONFIG = Path("/etc/lakehouse-vision/agent.toml")
HANG_SECONDS = 120.0
"""Beyond the time after which the camera counts as stalled: then the process ends, and systemd
restarts it."""


def add_agent_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands that run the agent and ask it.

    Args:
        add: makes a command from its name, its function, its purpose and its options.
    """
    config = Option("--config", "FILE", "the agent's settings, a TOML file", Path, CONFIG)
    as_json = Option("--json", "", "print the full status as JSON")
    add("run", _run, "capture, score, send and update, until it is stopped", config)
    purpose = "show the state of the running agent; exit status 1 if it is unhealthy"
    add("status", _status, purpose, config, as_json)
    purpose = "check camera, server, landing zone, clock, disk, key and actions"
    add("doctor", _doctor, f"{purpose}, and say what to do", config)
    add("retry", _retry, "let the agent try releases again that failed on this device", config)


def _run(options: argparse.Namespace) -> None:
    from edge.agent.agent import Agent
    from edge.agent.settings import Settings
    from edge.agent.watchdog import Watchdog
    from edge.preview.server import Preview, PreviewError

    settings = Settings.read(options.config)
    # without the time, which systemd's journal adds
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    agent = Agent(settings)
    _call_on_signals(
        {signal.SIGTERM: agent.stop, signal.SIGINT: agent.stop, signal.SIGUSR1: agent.trigger}
    )
    with ExitStack() as opened:
        opened.callback(agent.parts.store.close)
        try:
            preview = Preview(agent, settings.page.host, settings.page.port)
            opened.callback(preview.server_close)
            opened.callback(preview.shutdown)
            logger.info("%s runs; its page: %s", settings.device, preview.address)
        except PreviewError as error:  # the agent works without it
            logger.error("%s runs without its page: %s", settings.device, error)
        agent.run(Watchdog(settings.camera.stalled_seconds + HANG_SECONDS))


def _call_on_signals(calls: dict[signal.Signals, Callable[[], None]]) -> None:
    """Call a function for each signal, in a thread of its own.

    A handler runs between two instructions of the main thread, which may hold the very lock that
    the function waits for. Only ``SimpleQueue.put`` is safe there.
    """
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def call_each() -> None:
        while True:
            calls[signal.Signals(received.get())]()

    threading.Thread(target=call_each, name="signals", daemon=True).start()
    for number in calls:
        signal.signal(number, lambda number, _: received.put(number))


def _doctor(options: argparse.Namespace) -> None:
    from edge.agent.settings import Settings
    from edge.cli.doctor import findings

    failed = 0
    for name, failure, text in findings(Settings.read(options.config)):
        print(f"{'FIX' if failure else 'ok ':<4} {name:<12} {text}", flush=True)
        failed += failure
    if failed:
        raise UserError(f"{pluralize(failed, 'check')} failed")


def _retry(options: argparse.Namespace) -> None:
    from edge.agent.settings import Settings
    from edge.update.home import ModelHome

    settings = Settings.read(options.config)
    if settings.model is None:
        raise UserError(f"{options.config} names no model: add [model]")
    failed = ModelHome(settings.models / settings.model.name).forget_failures()
    print(f"the next poll tries again what failed here: {pluralize(failed, 'release')}")


def _status(options: argparse.Namespace) -> None:
    from edge.agent.settings import Settings
    from edge.cli.running_status import running_status

    status = running_status(Settings.read(options.config))
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        for name, text in _summary(status):
            print(f"{name:<12} {text}")
    if not status["healthy"]:
        raise UserError("; ".join(status["health_issues"]))


def _summary(status: dict[str, Any]) -> list[tuple[str, str]]:
    queue, counts = status["queue"], status["counts"]
    model = "none"
    if status["model_version"]:
        model = f"{status['model']} {status['model_version']}, release {status['release']}"
        model += ", on probation" if status["on_probation"] else ""
    label = f"{status['label']} ({status['name']})" if status["name"] else status["label"]
    score = f"{label} {status['score']:.4f}" if status["score"] is not None else "none"
    waiting = f"{pluralize(queue['images'], 'image')}, {queue['bytes'] / 1e6:.1f} MB; "
    waiting += pluralize(status["results"]["unsent"], "result")
    if queue["undated"]:
        waiting += f"; {pluralize(queue['undated'], 'image')} without a date until the clock is set"
    state = status["state"] or "none yet"
    state += f", since {status['state_since']}" if status["state_since"] else ""
    frames, sent = pluralize(status["frames"], "frame"), pluralize(counts.get("sent", 0), "image")
    celsius = status["temperature_celsius"]
    machine = "" if celsius is None else f"{celsius:.0f} °C, "
    machine += f"{status['memory_megabytes']:.0f} MB used, {status['free_megabytes']} MB free"
    rows = [
        ("device", f"{status['device']}, since {status['started_at']}"),
        ("agent", status.get("agent_version", "older than 0.1.0")),  # not restarted yet
        ("camera", status["camera_failure"] or f"{status['camera']}, {frames}"),
        ("last frame", f"{status['last_frame_at']}: {score}"),
        ("state", state),
        ("model", model),
        ("waiting", waiting),
        ("sent", f"{sent}, last {status['last_sent_at'] or 'none yet'}"),
        ("dropped", pluralize(counts.get("dropped", 0), "image")),
        ("machine", machine),
    ]
    for name, key in (("model", "model_failure"), ("landing", "landing_failure")):
        if status[key]:
            rows.append((f"{name} !", status[key]))
    for name, action in status["actions"].items():
        if action["failure"]:
            waiting = pluralize(action["waiting"], "change")
            rows.append((f"{name} !", f"{action['failure']}; {waiting} waiting"))
    if queue["unreadable"] or counts.get("lost"):
        retried, lost = queue["unreadable"], pluralize(counts.get("lost", 0), "image")
        rows.append(("disk !", f"cannot be read: {lost} lost, {retried} tried again"))
    if status["throttling"]:
        rows.append(("power !", ", ".join(status["throttling"])))
    return rows + [
        ("error", f"{item['at']} {item['message']}") for item in status["recent_errors"][-3:]
    ]

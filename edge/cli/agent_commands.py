"""``python -m edge run`` and ``python -m edge status``."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edge.cli.wording import pluralize
from edge.inference.errors import UserError
from edge.protocol.addresses import web_address

logger = logging.getLogger(__name__)

CONFIG = Path("/etc/lakehouse-vision/agent.toml")
ANSWER_SECONDS = 5.0
HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a page that is served at all addresses answers here."""

HANGS_SECONDS = 120.0
"""Beyond the camera's patience: then the process ends, and systemd starts it again."""


class NotRunningError(UserError):
    """No agent answers."""


class UnhealthyError(UserError):
    """The agent runs, but something keeps it from its work."""


def add_agent_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands.

    Args:
        add: makes a command from its name, what it runs, and its purpose.
    """
    command = add("run", _run, "capture, score, send and update, until it is stopped")
    _add_config(command)
    command = add("status", _status, "say how the running agent is; exit status 1 where not well")
    _add_config(command)
    command.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="all of it, as JSON"
    )


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, default=CONFIG, metavar="FILE", help="the agent's settings, TOML"
    )


def _run(options: argparse.Namespace) -> None:
    from edge.agent.agent import Agent
    from edge.agent.settings import Settings
    from edge.agent.watchdog import Watchdog
    from edge.preview.server import Preview, PreviewError

    settings = Settings.read(options.config)
    # systemd's journal has the time already
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    agent = Agent(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    signal.signal(signal.SIGUSR1, lambda *_: agent.trigger())
    preview = None
    try:
        preview = Preview(agent, settings.page.host, settings.page.port)
        logger.info("%s runs; its page: %s", settings.device, preview.address)
    except PreviewError as error:  # no reason not to look
        logger.error("%s runs without its page: %s", settings.device, error)
    try:
        agent.run(Watchdog(settings.camera.stalled_seconds + HANGS_SECONDS))
    finally:
        if preview:
            preview.shutdown()
            preview.server_close()
        agent.parts.store.close()


def _status(options: argparse.Namespace) -> None:
    import requests

    from edge.agent.settings import Settings

    page = Settings.read(options.config).page
    address = web_address(HERE.get(page.host, page.host), page.port)
    try:
        said = requests.get(f"{address}/status", timeout=ANSWER_SECONDS).json()
    except (requests.RequestException, ValueError) as error:
        raise NotRunningError(
            f"no agent answers at {address}: systemctl status lakehouse-vision"
        ) from error
    if hasattr(options, "json"):
        print(json.dumps(said, indent=2))
    else:
        for name, text in _summary(said):
            print(f"{name:<12} {text}")
    if not said["healthy"]:
        raise UnhealthyError("; ".join(said["health_issues"]))


def _summary(said: dict) -> list[tuple[str, str]]:
    queue, counts = said["queue"], said["counts"]
    model = "none"
    if said["model_version"]:
        model = f"{said['model']} version {said['model_version']}, release {said['release']}"
        model += ", on probation" if said["on_probation"] else ""
    score = f"{said['label']} {said['score']:.4f}" if said["score"] is not None else "none"
    waiting = f"{pluralize(queue['images'], 'image')}, {queue['bytes'] / 1e6:.1f} MB; "
    waiting += pluralize(said["results"]["unsent"], "result")
    if queue["undated"]:
        waiting += f"; {pluralize(queue['undated'], 'image')} without a date until the clock is set"
    frames, sent = pluralize(said["frames"], "frame"), pluralize(counts.get("sent", 0), "image")
    degrees = (
        "" if said["temperature_celsius"] is None else f"{said['temperature_celsius']:.0f} °C, "
    )
    rows = [
        ("device", f"{said['device']}, since {said['started_at']}"),
        ("camera", said["camera_failure"] or f"{said['camera']}, {frames}"),
        ("last frame", f"{said['last_frame_at']}: {score}"),
        ("model", model),
        ("waiting", waiting),
        ("sent", f"{sent}, last {said['last_sent_at'] or 'none yet'}"),
        ("dropped", pluralize(counts.get("dropped", 0), "image")),
        (
            "machine",
            f"{degrees}{said['memory_megabytes']:.0f} MB used, {said['free_megabytes']} MB free",
        ),
    ]
    for name, key in (("model", "model_failure"), ("landing", "landing_failure")):
        if said[key]:
            rows.append((f"{name} !", said[key]))
    if queue["unreadable"] or counts.get("lost"):
        again, lost = queue["unreadable"], pluralize(counts.get("lost", 0), "image")
        rows.append(("disk !", f"cannot be read: {lost} lost, {again} tried again"))
    if said["throttling"]:
        rows.append(("power !", ", ".join(said["throttling"])))
    return rows + [
        ("error", f"{item['at']} {item['message']}") for item in said["recent_errors"][-3:]
    ]

"""What the device's actions cost: the time from a scored frame to a message, and memory.

    apt-get install mosquitto       # once
    python -m benchmarks.actions --changes 1000

A process in the device's environment changes its state with every frame, and a webhook's receiver
and a subscriber of mosquitto, in this process, note when the message comes. The memory is what
the same process holds at the end with both actions, against without. The last line is JSON.
"""

import argparse
import base64
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # when started by its path

DEVICE_PYTHON = str(PROJECT / ".venv-edge" / "bin" / "python")
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
SECRET = base64.b64encode(bytes(32)).decode()
SETTINGS = """
device = "porch-1"
trust_clock = true
landing.url = "{folder}"
model = {{server = "http://127.0.0.1:9", name = "package-onnx"}}
camera.kind = "simulated"
store = {{folder = "{folder}/store", free_megabytes = 0}}
state = {{window = 1, votes = 1, dwell_seconds = 0}}
"""
ACTIONS = """
actions.door = {{kind = "webhook", url = "http://127.0.0.1:{webhook}/"}}
actions.home = {{kind = "mqtt", url = "mqtt://127.0.0.1:{mqtt}"}}
"""
ARRIVAL_SECONDS = 20


def main() -> None:
    """Measure both actions together, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=1000, help="of the state, 20 a second")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts")
    parser.add_argument("--device", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device:
        change_states(Path(options.device), options.changes)
        return
    if MOSQUITTO is None:
        parser.error("there is no mosquitto: apt-get install mosquitto")
    from benchmarks.machine import machine

    print(f"{machine()}, {options.changes} changes a round", flush=True)
    rounds = []
    for _ in range(options.rounds):
        rounds.append(measure(options.changes))
        print(rounds[-1], flush=True)
    medians = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0]}
    medians["message_p99_ms"] = max(medians["webhook_p99_ms"], medians["mqtt_p99_ms"])
    for name in ("memory_mb", "memory_without_mb"):  # chance adds megabytes to a process
        medians[name] = min(one[name] for one in rounds)
    extra = medians["memory_mb"] - medians["memory_without_mb"]
    medians["extra_memory_mb"] = round(extra, 2)
    print(json.dumps(medians | {"changes": options.changes}))


def measure(changes: int) -> dict[str, float]:
    """Return the percentiles of both actions in ms, how many messages came, and MB of memory."""
    arrived: dict[str, dict[str, float]] = {"webhook": {}, "mqtt": {}}
    with (
        tempfile.TemporaryDirectory() as folder,
        receiver(arrived["webhook"]) as webhook,
        broker(folder, arrived["mqtt"]) as mqtt,
    ):
        plain, _ = device(folder, SETTINGS.format(folder=folder), changes)
        both = SETTINGS.format(folder=folder) + ACTIONS.format(webhook=webhook, mqtt=mqtt)
        acting, begun = device(folder, both, changes, arrived)
    figures = {"memory_mb": acting, "memory_without_mb": plain}
    for name, times in arrived.items():
        waits = [1000 * (times[id] - begin) for id, begin in begun.items() if id in times]
        figures[f"{name}_messages"] = len(waits)
        figures[f"{name}_p50_ms"] = statistics.median(waits)
        figures[f"{name}_p99_ms"] = statistics.quantiles(waits, n=100)[98]
    return {name: round(value, 2) for name, value in figures.items()}


def device(
    folder: str, settings: str, changes: int, arrived: dict[str, dict[str, float]] | None = None
) -> tuple[float, dict[str, float]]:
    """Run a device; return its resident memory in MB, and when each change began, by its ID."""
    import psutil

    config = Path(folder, "agent.toml")
    config.write_text(settings)
    shutil.rmtree(Path(folder, "store"), ignore_errors=True)
    environment = os.environ | {"ACTIONS_DOOR_SECRET": SECRET}
    # as installed: compiling at each start takes memory
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [DEVICE_PYTHON, "-m", "benchmarks.actions", "--device", str(config)]
    process = subprocess.Popen(
        [*command, "--changes", str(changes)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    begun = json.loads(process.stdout.readline())
    end, last = time.monotonic() + ARRIVAL_SECONDS, list(begun)[-1]
    while arrived and time.monotonic() < end and any(last not in a for a in arrived.values()):
        time.sleep(0.05)
    megabytes = psutil.Process(process.pid).memory_info().rss / 1e6
    process.communicate("\n", timeout=30)
    return megabytes, begun


def change_states(config: Path, changes: int) -> None:
    """Be the device: answer otherwise with each frame, and print when, by the change's ID."""
    from edge.agent.agent import Agent
    from edge.agent.settings import Settings
    from edge.outbox.result import Result

    agent = Agent(Settings.read(config))
    parts = agent.parts
    # what the other threads of an agent use
    agent.status()
    parts.follower.work()
    agent.sender.work()
    parts.actions.start()
    time.sleep(1)  # until it is connected
    begun = {}
    for number in range(changes):
        label, other = ("0", "1") if number % 2 else ("1", "0")
        result = Result("package", "1", label, 0.99, {label: 0.99, other: 0.01}, 2.0)
        begin = time.monotonic()  # as after scoring; all processes have the same
        parts.actions.observe(result, parts.clock.now(), b"")
        begun[parts.actions.state.id] = begin
        time.sleep(0.05)
    print(json.dumps(begun), flush=True)
    sys.stdin.readline()
    parts.actions.stop()


@contextmanager
def receiver(arrived: dict[str, float]) -> Iterator[int]:
    """Receive webhooks, and note when; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            arrived[self.headers["webhook-id"]] = time.monotonic()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def broker(folder: str, arrived: dict[str, float]) -> Iterator[int]:
    """Run mosquitto and a subscriber that notes when a state comes; yields the port."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = Path(folder, "mosquitto.conf")
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    subscriber = Client(CallbackAPIVersion.VERSION2)
    subscriber.on_connect = lambda client, *_: client.subscribe("lakehouse-vision/+/state", qos=1)
    subscriber.on_message = lambda client, data, message: arrived.setdefault(
        json.loads(message.payload)["id"], time.monotonic()
    )
    try:
        time.sleep(1)  # until it listens
        subscriber.connect("127.0.0.1", port)
        subscriber.loop_start()
        yield port
    finally:
        subscriber.disconnect()
        subscriber.loop_stop()
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()

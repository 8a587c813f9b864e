"""Requests for scores beside the servers that a user would write.

    python -m benchmarks.peers.serving --rounds 3

Three servers with two processes each serve the same network: `mlflow models serve` of the released
pyfunc; FastAPI under uvicorn; LitServe. wrk posts images as base64 in JSON to each in turn, with 1,
4 and 16 connections, and to the first as plain JPEG too. The last line is JSON, of the medians of
the ratios.
"""

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from benchmarks.peers.environments import PROGRAMS, peer_command, peer_python
from benchmarks.scoring_rest import CLIENTS, post, require_wrk, serving, write_bodies
from edge.inference.record import MODEL_FILE
from steps.registry.local_server import free_port

START_SECONDS = 120


def main() -> None:
    """Print the requests a second of each server, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of posting, by server and round")
    options = parser.parse_args()
    images = sorted(images_folder(options.images).glob("*.jpg"))[:200]
    require_wrk()
    for peer in ("fastapi", "litserve"):
        peer_python(peer)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as until_measured:
        home = Path(folder)
        subprocess.run(  # in a process of its own: TensorFlow's threads stay out of the measuring
            [sys.executable, "-c", f"from benchmarks.scoring import export; export({str(home)!r})"],
            check=True,
        )
        ours, theirs = _write_all_bodies(images, home)
        servers = {"ours": (until_measured.enter_context(serving(home / "pyfunc", 2)), ours)}
        for peer, command in _peer_servers().items():
            started = _running(*command, home / "model" / MODEL_FILE, theirs)
            servers[peer] = (until_measured.enter_context(started), theirs)
        ratios = _measure(servers, len(images), options.rounds, options.seconds)
    print(json.dumps(ratios | {"rounds": options.rounds}))


def _write_all_bodies(images: list[Path], home: Path) -> tuple[Path, Path]:
    """Return the folders with what the project's server is sent, and with what the peers are."""
    ours, theirs = write_bodies(images, home / "ours"), home / "theirs"
    theirs.mkdir()
    for number, path in enumerate(images):
        content = path.read_bytes()
        (ours / f"{number}.jpeg").write_bytes(content)
        body = {"image": base64.b64encode(content).decode()}
        (theirs / f"{number}.json").write_text(json.dumps(body))
    return ours, theirs


def _peer_servers() -> dict[str, tuple[list[str], int]]:
    """Return the command and the port of each peer."""
    port, other = free_port(), free_port()
    uvicorn = [str(peer_python("fastapi")), "-m", "uvicorn", "--app-dir", str(PROGRAMS)]
    options = ["--workers", "2", "--log-level", "error", "--port", str(port)]
    return {
        "fastapi": ([*uvicorn, *options, "fastapi_server:app"], port),
        "litserve": (peer_command("litserve", "litserve_server.py", str(other)), other),
    }


@contextmanager
def _running(command: list[str], port: int, model: Path, bodies: Path) -> Iterator[int]:
    """Run a peer's server until it has answered; yield its port; end it."""
    server = subprocess.Popen(
        command,
        env=os.environ | {"MODEL": str(model)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + START_SECONDS
        body = json.loads((bodies / "0.json").read_text())
        while True:
            try:
                requests.post(
                    f"http://127.0.0.1:{port}/invocations", json=body, timeout=30
                ).raise_for_status()
                break
            except requests.ConnectionError:
                if time.monotonic() > until or server.poll() is not None:
                    raise
                time.sleep(0.3)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _measure(
    servers: dict[str, tuple[int, Path]], count: int, rounds: int, seconds: int
) -> dict[str, float]:
    """Return the medians of this project's requests a second over those of each peer."""
    ratios: dict[str, float] = {}
    ways = {name: (*server, "json") for name, server in servers.items()}
    ways["ours, JPEG"] = (*servers["ours"], "jpeg")
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (port, bodies, kind) in ways.items():
                found = post(port, bodies, count, clients, seconds, kind)
                rates[name].append(found["requests"] / found["seconds"])
        shown = (f"{name} {statistics.median(times):.0f}" for name, times in rates.items())
        print(f"{clients:2} clients, requests a second: {', '.join(shown)}", flush=True)
        for peer in list(servers)[1:]:
            pairs = zip(rates["ours"], rates[peer], strict=True)
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            ratios[f"rest_vs_{peer}_{clients}"] = round(ratio, 2)
    worst = {
        f"rest_vs_{peer}": min(ratios[f"rest_vs_{peer}_{clients}"] for clients in CLIENTS)
        for peer in list(servers)[1:]
    }
    return worst | ratios


if __name__ == "__main__":
    main()

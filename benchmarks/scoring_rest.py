"""REST scoring: `mlflow models serve` with a process a core, and wrk that posts to it."""

import base64
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.registry.local_server import free_port

CLIENTS = (1, 4, 16)
START_SECONDS = 180
SCRIPT = Path(__file__).with_name("post_images.lua")


def measure_rest(
    limit: Callable[[list[str], int], float],
    model: Path,
    images: list[Path],
    rounds: int,
    seconds: int,
) -> dict[str, float]:
    """Requests a second of so many clients against what as many plain processes score.

    Args:
        limit: (files, number of clients) to the seconds that plain processes take, no more of
            them than there are clients; asked before and after each posting.
        model: the pyfunc's folder.
        images: posted in turn, one a request.
        rounds: of which the median counts.
        seconds: of posting, in each round and for each number of clients.

    Returns:
        By number of clients the ratio, the requests a second, and milliseconds p50 and p99;
        `rest_vs_limit` is the lowest ratio.
    """
    files = [str(path) for path in images] * 3
    results: dict[str, float] = {}
    with serving(model, os.cpu_count()) as port:
        bodies = write_bodies(images, model.parent / "bodies")
        post(port, bodies, len(images), 4, 3)  # both processes are warm
        for clients in CLIENTS:
            measured = []
            for _ in range(rounds):
                before = len(files) / limit(files, clients)
                found = post(port, bodies, len(images), clients, seconds)
                after = len(files) / limit(files, clients)
                rate = found["requests"] / found["seconds"]
                possible = (before + after) / 2
                measured.append((rate / possible, rate, possible, found["p50"], found["p99"]))
            ratio, rate, possible, p50, p99 = map(statistics.median, zip(*measured, strict=True))
            print(
                f"REST {clients:2} clients: {rate:6.1f} requests a second of {possible:6.1f}, "
                f"ratio {ratio:.2f}, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms",
                flush=True,
            )
            results |= {
                f"rest_vs_limit_{clients}": round(ratio, 3),
                f"rest_a_second_{clients}": round(rate, 1),
                f"rest_p50_{clients}": round(p50, 1),
                f"rest_p99_{clients}": round(p99, 1),
            }
    worst = min(results[f"rest_vs_limit_{clients}"] for clients in CLIENTS)
    return {"rest_vs_limit": worst} | results


def write_bodies(images: list[Path], folder: Path) -> Path:
    """A request's body for each image, as files that wrk reads."""
    folder.mkdir()
    for number, path in enumerate(images):
        row = [base64.b64encode(path.read_bytes()).decode()]
        body = {"dataframe_split": {"columns": ["image"], "data": [row]}}
        (folder / f"{number}.json").write_text(json.dumps(body))
    return folder


def post(
    port: int, bodies: Path, count: int, clients: int, seconds: int, kind: str = "json"
) -> dict[str, float]:
    """What wrk found with so many connections, each of which waits for its answer."""
    done = subprocess.run(
        [
            "wrk",
            "--threads",
            "1",
            "--connections",
            str(clients),
            "--duration",
            f"{seconds}s",
            "--timeout",
            "60s",
            "--script",
            str(SCRIPT),
            f"http://127.0.0.1:{port}/invocations",
            "--",
            str(bodies),
            str(count),
            kind,
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests failed")
    return found


def require_wrk() -> None:
    """End with the command that installs wrk, where it is missing."""
    if not shutil.which("wrk"):
        sys.exit("benchmarks.scoring: wrk posts the requests; run: sudo apt-get install -y wrk")


@contextmanager
def serving(model: Path, workers: int) -> Iterator[int]:
    """`mlflow models serve` on a free port, ended at the end."""
    port = free_port()
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            str(model),
            "--env-manager",
            "local",
            "--port",
            str(port),
            "--workers",
            str(workers),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(port: int, server: subprocess.Popen) -> None:
    """Until the server is healthy."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError("the scoring server did not come up")

"""What a fleet polls: a real MLflow server with releases in it, and nginx in front of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from mlflow import MlflowClient

from steps.registry.local_server import free_port
from steps.release.statement import ARTIFACTS, release_version

MODEL, ALIAS = "package-onnx", "champion"
FILES = {
    "model.onnx": 410_000,
    "model.int8.onnx": 130_000,
    "record.json": 2_000,
    "reference_images.json": 60_000,
}
"""Bytes of a release, about as `export` makes it for 128 × 128 pixels."""
START_SECONDS = 120
CACHED_SECONDS = 5

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    proxy_cache_path {folder}/cache keys_zone=mlflow:10m max_size=1g;
    proxy_cache_key $http_authorization$request_uri;
    proxy_cache_lock on;
    proxy_ignore_headers Cache-Control Expires;
    server {{
        listen {listen} backlog=4096;
        location = /model-versions/get-artifact {{
            proxy_pass {server};
            proxy_cache mlflow;
            proxy_cache_valid 200 30d;
        }}
        location = /api/2.0/mlflow/registered-models/alias {{
            proxy_pass {server};
            proxy_cache mlflow;
            proxy_cache_valid 200 {seconds}s;
        }}
        location / {{ proxy_pass {server}; }}
    }}
}}
"""


def publish(folder: Path, seed: int) -> None:
    """A release of random bytes; the alias moves to it."""
    client, content = MlflowClient(), random.Random(seed)
    files = []
    (folder / str(seed) / ARTIFACTS).mkdir(parents=True)
    for name, size in FILES.items():
        files.append(folder / str(seed) / ARTIFACTS / name)
        files[-1].write_bytes(content.randbytes(size))
    if not client.search_registered_models(f"name='{MODEL}'"):
        client.create_registered_model(MODEL)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(folder / str(seed)), "model")
    source = f"{run.info.artifact_uri}/model"
    version = client.create_model_version(MODEL, source, run.info.run_id).version
    release_version(MODEL, version, files)
    client.set_registered_model_alias(MODEL, ALIAS, version)


@contextmanager
def served(folder: Path, workers: int) -> Iterator[str]:
    """An MLflow server on loopback that ends with the block."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "kept")]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not _healthy(address):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no MLflow server: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@contextmanager
def cached(server: str, folder: Path) -> Iterator[str]:
    """nginx in front of a server, as docs/updates.md shows it."""
    address = f"http://127.0.0.1:{free_port()}"
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",  # else it leaves root's folder to www
            listen=address.removeprefix("http://"),
            server=server,
            seconds=CACHED_SECONDS,
        )
    )
    command = ["nginx", "-c", str(configuration), "-p", str(folder), "-e", str(folder / "errors")]
    process = subprocess.Popen(command)
    try:
        while not _healthy(address):
            if process.poll() is not None:
                raise RuntimeError((folder / "errors").read_text()[-2000:])
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _healthy(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=2).ok
    except requests.RequestException:
        return False

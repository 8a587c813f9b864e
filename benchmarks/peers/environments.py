"""An environment of its own for each peer, with pinned packages, as a user would make it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"

PINS = {
    "deltalake": ["deltalake==1.6.6", "pyarrow==26.0.1", "pillow==13.0.0"],
    "daft": ["daft[deltalake]==0.7.26", "pyiceberg==0.12.0", "deltalake==1.6.6", "pillow==13.0.0"],
    "keras": ["tensorflow-cpu==2.18.1", "onnx==1.22.0", "tf2onnx==1.17.0", "pillow==13.0.0"],
    # Without uvloop, uvicorn leaves Nagle's algorithm on for its workers: 40 ms a request.
    "fastapi": [
        "fastapi==0.165.0",
        "uvicorn[standard]==0.54.0",
        "onnxruntime==1.32.0",
        "pillow==13.0.0",
    ],
    "litserve": ["litserve==0.2.19", "onnxruntime==1.32.0", "pillow==13.0.0"],
}
"""The packages that each peer names; what these depend on is resolved when it is built."""


def peer_python(peer: str) -> Path:
    """Return the Python of a peer's environment; it is built on the first call."""
    folder = PROJECT / ".venv-peers" / peer
    stamp, wanted = folder / "pins", "\n".join(PINS[peer])
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing {', '.join(PINS[peer])}", file=sys.stderr, flush=True)
        uv = subprocess.check_output(["setup/uv.sh"], cwd=PROJECT, text=True).strip()
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", folder]
        subprocess.run([*install, *PINS[peer]], check=True)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def peer_command(peer: str, program: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs a peer's program in its environment."""
    return [str(peer_python(peer)), str(PROGRAMS / program), *map(str, arguments)]


def own_environment(home: Path) -> dict[str, str]:
    """Return the variables of `mlflow run`, with this project's runs below a folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}


def seconds_of(command: list[str], home: Path) -> float:
    """Return the seconds of a command that succeeds."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=home, env=own_environment(home), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return time.perf_counter() - started

"""The whole ingest, from Enter to the prompt, beside what a user would write.

    python -m benchmarks.peers.ingest --rounds 3

Cold commands that take turns, each into a new table: (1) `mlflow run . -e ingest`; (2)
multiprocessing, Pillow and deltalake; (3) Daft. Then the same ingest again, which finds nothing
new, and `mlflow run` of a project that does nothing. `--files 4068` copies the images under new
names; what a file takes beyond the start is the difference between that many and a tenth of them.
At last, what is in the table after a second call, a kill half-way and a call after that, and with
every twentieth file damaged. The last line is JSON; ratios are of medians.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when started by its path

from benchmarks.images import add_images, images_folder
from benchmarks.ingest import repeat
from benchmarks.machine import machine
from benchmarks.peers.environments import (
    PROJECT,
    own_environment,
    peer_command,
    peer_python,
    seconds_of,
)
from benchmarks.pipeline import PROJECT_OF_THE_FLOOR

PEERS = {"plain": ("deltalake", "plain_ingest.py"), "daft": ("daft", "daft_ingest.py")}
MLFLOW_RUN = ["mlflow", "run", "--env-manager", "local"]


def main() -> None:
    """Print each round, what the faults left, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--files", type=int, default=4068, help="of the steady part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder for the copies; default: a temporary one")
    options = parser.parse_args()
    images = images_folder(options.images)
    for peer in ("deltalake", "daft"):
        peer_python(peer)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        home = Path(folder)
        few, many, damaged = home / "few", home / "many", home / "damaged"
        repeat(images, few, options.files // 10)
        repeat(images, many, options.files)
        repeat(images, damaged, options.files // 10)
        for path in sorted(damaged.iterdir())[::20]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        seconds_of(_empty_project(home), home)  # makes the store of runs
        seconds: dict[str, list[float]] = {}
        for number in range(options.rounds):
            _measure(home, {"command": images, "few": few, "many": many}, number, seconds)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        _after_faults(home, few, damaged, medians)
    print(json.dumps(_ratios(medians) | {"files": options.files, "rounds": options.rounds}))


def _measure(
    home: Path, zones: dict[str, Path], number: int, seconds: dict[str, list[float]]
) -> None:
    """Time all commands once, in an order that turns."""
    ways = ["ours", *PEERS]
    for name, zone in zones.items():
        for way in ways[number % 3 :] + ways[: number % 3]:
            table = home / f"{name}-{way}-{number}"
            taken = seconds_of(_command(way, zone, table), home)
            seconds.setdefault(f"{name} {way}", []).append(taken)
            if (name, way) != ("command", "ours"):
                shutil.rmtree(table)
    again = _command("ours", zones["command"], home / f"command-ours-{number}")
    seconds.setdefault("nothing new", []).append(seconds_of(again, home))
    seconds.setdefault("empty project", []).append(seconds_of(_empty_project(home), home))
    shutil.rmtree(home / f"command-ours-{number}")
    shown = (f"{name} {times[-1]:.1f}" for name, times in seconds.items())
    print(f"round {number + 1}, seconds: {', '.join(shown)}", flush=True)


def _command(way: str, zone: Path, table: Path) -> list[str]:
    """Return the command of a way; the project's table is `images` below the folder."""
    if way in PEERS:
        return peer_command(*PEERS[way], zone, table / "images")
    places = f"lake={table},cache={table}/cache"
    asked = ["-P", f"source={zone}", "-P", f"override={places}"]
    return [*MLFLOW_RUN, "-e", "ingest", str(PROJECT), *asked]


def _empty_project(home: Path) -> list[str]:
    folder = home / "empty"
    folder.mkdir(exist_ok=True)
    (folder / "MLproject").write_text(PROJECT_OF_THE_FLOOR)
    (folder / "floor.py").write_text("")
    return [*MLFLOW_RUN, str(folder)]


def _after_faults(home: Path, zone: Path, damaged: Path, medians: dict[str, float]) -> None:
    """Print what each way's table holds after a second call, a kill and a call, and bad files."""
    files = len(list(zone.iterdir()))
    print(f"rows (and files) of {files} in the table after … ", flush=True)
    for way in ("ours", *PEERS):
        table = home / f"faults-{way}"
        found = {}
        _end(_command(way, zone, table), home)
        _end(_command(way, zone, table), home)
        found["a second call"] = _rows(table)
        shutil.rmtree(table)
        _end(_command(way, zone, table), home, kill_after=medians[f"few {way}"] / 2)
        _end(_command(way, zone, table), home)
        found["a kill half-way and a call"] = _rows(table)
        shutil.rmtree(table)
        ended = _end(_command(way, damaged, table), home)
        found["a twentieth damaged"] = f"{_rows(table)}, exit status {ended}"
        shutil.rmtree(table, ignore_errors=True)
        print(f"{way}: {'; '.join(f'{name}: {rows}' for name, rows in found.items())}", flush=True)


def _end(command: list[str], home: Path, kill_after: float | None = None) -> int:
    """Run a command until it ends, or is killed with all its children; return its status."""
    with subprocess.Popen(
        command,
        cwd=home,
        env=own_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        try:
            return process.wait(kill_after)
        except subprocess.TimeoutExpired:
            subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=True)
            return process.wait()


def _rows(table: Path) -> str:
    command = peer_command("deltalake", "count_rows.py", table / "images")
    rows, paths = subprocess.check_output(command, text=True).split()
    return f"{rows} ({paths})"


def _ratios(medians: dict[str, float]) -> dict[str, float]:
    """Return the ratios; below 1 the project is faster, but for `steady`, where it is above."""

    def best(name: str) -> float:
        return min(medians[f"{name} {peer}"] for peer in PEERS)

    def steady(way: str) -> float:
        return medians[f"many {way}"] - medians[f"few {way}"]

    return {
        "command_vs_best_peer": round(medians["command ours"] / best("command"), 2),
        "steady_vs_best_peer": round(min(map(steady, PEERS)) / steady("ours"), 2),
        "nothing_new_vs_empty_project": round(medians["nothing new"] / medians["empty project"], 2),
    }


if __name__ == "__main__":
    main()

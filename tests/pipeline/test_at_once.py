"""Pipelines, upkeep and a continuous ingest on one lake and one store at the same time.

`RUNS=20 make prove ARGS="-k at_once"` does it twenty times; without RUNS, once, by ingest alone.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import mlflow
import pytest

from steps.pipeline.outputs import IngestOutputs
from steps.registry.aliases import CHAMPION
from steps.registry.versions import source_of
from steps.settings.profile import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.proof, pytest.mark.timeout(14400)]

RUNS = int(os.environ.get("RUNS", "1"))
AT_FIRST, A_RUN = 100, 10
PERIOD = 4.0
"""Seconds between two images that arrive."""
QUICK = {"network": "compact", "input_size": 32, "train_launcher": "single"}
QUICK |= dict.fromkeys(("tune_trials", "tune_epochs", "train_epochs"), 1)


@pytest.fixture
def workshop(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path, min_accuracy=0.0, max_regression=1.0)
    (tmp_path / "landing").mkdir()
    # this makes the store's tables, which two processes must not do at the same time
    assert not workshop.runs("ingest")
    workshop.capture(tmp_path / "camera", AT_FIRST + RUNS * A_RUN)
    return workshop


@contextmanager
def started(workshop, name: str, command: list[str]) -> Iterator[subprocess.Popen]:
    with (workshop.home / f"{name}.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=workshop.environment(), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()


def said(workshop, name: str) -> str:
    return (workshop.home / f"{name}.txt").read_text()[-6000:]


def arrive(workshop, count: int, over: threading.Event, period: float) -> None:
    """Images that the camera took land one by one, each complete at once."""
    for image in sorted((workshop.home / "camera").iterdir())[:count]:
        image.rename(workshop.home / "landing" / image.name)
        if over.wait(period):
            return


WHOLE = pytest.mark.skipif(
    "RUNS" not in os.environ, reason="NOT PROVEN HERE: whole pipelines at once take RUNS=1 or more"
)


@pytest.mark.parametrize("until", ["ingest", pytest.param("export", marks=WHOLE)])
def test_all_at_once_end_well(workshop, until):
    arrive(workshop, AT_FIRST, threading.Event(), 0)
    source = workshop.home / "landing"
    ingest = workshop.step_command("ingest", source=source, trigger="continuous")
    pipeline = workshop.step_command("main", source=source, until=until, **QUICK)
    with started(workshop, "continuous", ingest) as continuous:
        for number in range(RUNS):
            over = threading.Event()
            arriving = threading.Thread(target=arrive, args=(workshop, A_RUN, over, PERIOD))
            arriving.start()
            commands = {
                "first": pipeline,
                "second": pipeline,
                "upkeep": workshop.step_command("upkeep"),
            }
            try:
                run_at_once(workshop, number, commands)
            finally:
                over.set()
                arriving.join()
            assert continuous.poll() is None, said(workshop, "continuous")
        continuous.terminate()
        assert continuous.wait(120) == 0, said(workshop, "continuous")
    if until == "export":
        champion = workshop.client.get_model_version_by_alias("package", CHAMPION)
        released = workshop.client.get_model_version_by_alias("package-onnx", CHAMPION)
        assert source_of(released) == ("package", str(champion.version))
    mlflow.set_tracking_uri(workshop.store)
    run_id = said(workshop, "continuous").rpartition("run_id=")[2].strip()
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/outputs.json")
    ingested = IngestOutputs.model_validate_json(text)
    # what arrived after its last poll is left
    assert (ingested.duplicates, ingested.quarantined) == (0, 0)
    assert 0 <= len(list(source.iterdir())) - ingested.images <= 1


def run_at_once(workshop, number: int, commands: dict[str, list[str]]) -> None:
    """Start them together; each has to end well."""
    with ExitStack() as all_of_them:
        processes = {
            name: all_of_them.enter_context(started(workshop, name, command))
            for name, command in commands.items()
        }
        for name, process in processes.items():
            assert process.wait(1800) == 0, f"{number}: {name}: {said(workshop, name)}"
    ends = [said(workshop, name).rpartition("\nmain: ")[2] for name in ("first", "second")]
    print(number, *(end.splitlines()[0] for end in ends), sep=" | ", flush=True)

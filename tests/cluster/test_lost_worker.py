"""A worker that dies in the middle of a job: the job continues on those that are left."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from cluster_site import Site

from steps.pipeline.outputs import IngestOutputs, TuneOutputs

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

IMAGES = 96
SECONDS = 240
COMPACT = "tuning.space.network=null"


def busy(worker: subprocess.Popen) -> bool:
    """Whether an executor of the worker has a Python process: it is in the middle of a task."""
    with suppress(psutil.NoSuchProcess):
        return any(map(runs_python_tasks, psutil.Process(worker.pid).children(recursive=True)))
    return False


def runs_python_tasks(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # one that ends while it is looked at hides no other
        return "pyspark.daemon" in process.cmdline()
    return False


def kill_once_busy(site: Site, process: subprocess.Popen, log: Path, ready=lambda: True) -> None:
    """Kill a worker as soon as it works on the job of a process, whose output is in the log."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        working = [w for w in site.cluster.workers if w.poll() is None and busy(w)]
        if working and ready():
            site.cluster.kill_worker(working[0])
            return
        time.sleep(0.2)
    pytest.fail(
        f"no worker was at work on the job, which ended with {process.poll()}:\n"
        f"{log.read_text()[-4000:]}"
    )


def test_ingest_goes_on(site: Site):
    source = site.land("lost", IMAGES, "--start", "2026-08-01T00:15:00+00:00")
    log = site.home / "lost-ingest.log"
    process = site.start("ingest", log, source=source, max_files_per_batch=24)
    kill_once_busy(site, process, log)
    assert process.wait(timeout=SECONDS) == 0, log.read_text()[-4000:]
    site.cluster.add_worker()
    ingested = site.outputs("ingest", IngestOutputs)
    assert (ingested.images, ingested.new_images, ingested.quarantined) == (IMAGES, IMAGES, 0)


def test_tuning_goes_on(site: Site):
    log = site.home / "lost-tune.log"
    process = site.start("tune", log, override=COMPACT, trials=2, epochs=12)
    before = {run.info.run_id for run in site.runs("trial")}

    def trials_run() -> bool:
        now = [run for run in site.runs("trial") if run.info.run_id not in before]
        return len(now) == 2 and any(run.info.status == "RUNNING" for run in now)

    kill_once_busy(site, process, log, trials_run)
    assert process.wait(timeout=SECONDS) == 0, log.read_text()[-4000:]
    site.cluster.add_worker()
    tuned = site.outputs("tune", TuneOutputs)
    assert tuned.finished + tuned.failed == 2 and tuned.finished >= 1
    after = [run for run in site.runs("trial") if run.info.run_id not in before]
    assert "RUNNING" not in {run.info.status for run in after}

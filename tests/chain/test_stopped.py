"""Ctrl-C in the terminal of `mlflow run`: no run is left that seems to go on."""

import os
import signal
import subprocess
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

SECONDS = 120


def test_ctrl_c_leaves_the_chain_and_its_step_killed(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path)
    workshop.capture(tmp_path / "landing", 2)
    # this makes the store's tables, which two processes must not do at the same time
    assert not workshop.runs("ingest")
    log = tmp_path / "chain.log"
    with log.open("wb") as output:
        chain = subprocess.Popen(
            workshop.command("main", source=tmp_path / "landing"),
            cwd=tmp_path,
            env=workshop.environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group that gets the signal as a terminal's does
            preexec_fn=_hears_ctrl_c,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not workshop.runs("ingest") and time.monotonic() < deadline:
            assert chain.poll() is None, "the chain ended by itself"
            time.sleep(0.5)
        os.killpg(chain.pid, signal.SIGINT)
        assert chain.wait(timeout=SECONDS) != 0
    finally:
        if chain.poll() is None:
            os.killpg(chain.pid, signal.SIGKILL)
    print(log.read_text())
    assert not _left_of(chain.pid), "a process outlived the chain"
    statuses = {step: workshop.runs(step)[0].info.status for step in ("main", "ingest")}
    assert statuses == {"main": "KILLED", "ingest": "KILLED"}


def test_ctrl_c_ends_what_keeps_looking_as_if_it_had_come_to_its_end(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path)
    workshop.capture(tmp_path / "landing", 3)
    given = {"source": tmp_path / "landing", "trigger": "continuous"}
    looking = subprocess.Popen(
        workshop.command("ingest", **given),
        cwd=tmp_path,
        env=workshop.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hears_ctrl_c,
    )
    try:
        for line in looking.stderr:
            if "look 1: 3 new files" in line:
                break
        time.sleep(2)  # it waits for the next look, mostly
        os.killpg(looking.pid, signal.SIGINT)
        looking.communicate(timeout=SECONDS)
    finally:
        if looking.poll() is None:
            os.killpg(looking.pid, signal.SIGKILL)
    assert not _left_of(looking.pid), "a process outlived the ingest"
    (run,) = workshop.runs("ingest")
    assert run.info.status == "FINISHED" and run.data.metrics["images"] == 3
    kept = {file.path for file in workshop.client.list_artifacts(run.info.run_id)}
    assert "outputs.json" in kept


def _left_of(session: int) -> list[str]:
    """The processes of a session once they had time to end, such as Spark's JVM."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = [p for p in psutil.process_iter(["cmdline"]) if _session_of(p.pid) == session]
        if not found or time.monotonic() > deadline:
            return [" ".join(process.info["cmdline"] or [])[:300] for process in found]
        time.sleep(0.5)


def _session_of(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None


def _hears_ctrl_c() -> None:
    """Tests that run in a shell's background are deaf to it, and so would be what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

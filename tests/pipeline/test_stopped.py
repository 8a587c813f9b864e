"""Ctrl-C in the terminal of `mlflow run`: no run is left that seems to go on."""

import pytest

pytestmark = pytest.mark.slow


def test_ctrl_c_leaves_the_pipeline_and_its_step_killed(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path)
    workshop.capture(tmp_path / "landing", 2)
    # this makes the store's tables, which two processes must not do at the same time
    assert not workshop.runs("ingest")
    source = tmp_path / "landing"
    workshop.interrupt("main", lambda: bool(workshop.runs("ingest")), source=source)
    statuses = {step: workshop.runs(step)[0].info.status for step in ("main", "ingest")}
    assert statuses == {"main": "KILLED", "ingest": "KILLED"}


def test_ctrl_c_ends_what_keeps_looking_as_if_it_had_come_to_its_end(tmp_path, workshop_factory):
    workshop = workshop_factory(tmp_path)
    workshop.capture(tmp_path / "landing", 3)
    log = tmp_path / "interrupted.log"
    given = {"source": tmp_path / "landing", "trigger": "continuous"}
    workshop.interrupt("ingest", lambda: "poll 1: 3 new files" in log.read_text(), **given)
    (run,) = workshop.runs("ingest")
    assert run.info.status == "FINISHED" and run.data.metrics["images"] == 3
    kept = {file.path for file in workshop.client.list_artifacts(run.info.run_id)}
    assert "outputs.json" in kept

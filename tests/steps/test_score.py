"""Which images score takes at each of its polls."""

import mlflow
import pytest

from steps import score
from steps.errors import UserError
from steps.pipeline.commands import Commands
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.report import Report
from steps.pipeline.step import StepRun
from steps.settings.profile import load_profile


def ingested(lake: str, version: int) -> str:
    """Log a finished run of ingest; return its ID."""
    counts = {"images": 1, "new_images": 1, "duplicates": 0, "quarantined": 0, "labels": {}}
    outputs = IngestOutputs(table=f"{lake}/images", version=version, source="file:/a", **counts)
    with mlflow.start_run(tags={"step": "ingest"}) as run:
        mlflow.log_text(outputs.model_dump_json(), "outputs.json")
    return run.info.run_id


@pytest.fixture
def run_of(store, monkeypatch):
    monkeypatch.setattr(score, "log_delta_version", lambda *_: None)
    profile = load_profile("local").model_copy(update={"lake": "file:/here"})
    return lambda ingest: StepRun(
        "1" * 32, profile, {"ingest": ingest}, Report("score", "1" * 32), Commands()
    )


def test_later_polls_score_what_was_ingested_since(run_of):
    run = run_of(ingested("file:/here", 3))
    ingested("file:/here", 4)
    with mlflow.start_run():
        assert [score._images(run, poll).version for poll in (0, 1)] == [3, 4]


def test_an_ingest_into_another_lake_is_an_error_only_if_it_was_asked_for(run_of):
    run = run_of(ingested("file:/here", 3))
    elsewhere = run_of(ingested("file:/elsewhere", 9))
    with mlflow.start_run():
        assert score._images(run, 1) is None
        with pytest.raises(UserError, match="not in the lake of profile local"):
            score._images(elsewhere, 0)

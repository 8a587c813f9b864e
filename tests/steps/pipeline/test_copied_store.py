"""A checkout that was copied or moved with its store: its runs are read and written there."""

import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
from bakery import STEP, baked, kept, mill
from mlflow import MlflowClient

from steps.pipeline.copied_store import follow_copied_store
from steps.settings import profile


def use(home: Path, monkeypatch) -> str:
    """Work in a checkout, as a shell does there; the store's URI."""
    uri = f"sqlite:///{home}/mlflow.db"
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return uri


@pytest.fixture
def original(tmp_path, monkeypatch, empty_store) -> Path:
    """A folder with a store, two runs in it, and a registered version."""
    home = tmp_path / "the örig'inal"
    home.mkdir()
    shutil.copy(empty_store, home)
    with sqlite3.connect(home / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (f"{home}/mlruns/0",))
    use(home, monkeypatch)
    milled = mill()
    with mlflow.start_run(run_id=milled):
        mlflow.log_text(f'{{"kind": "{home}/data/lake/images"}}', "outputs.json")
    client = MlflowClient()
    client.create_registered_model("bread")
    client.create_model_version("bread", f"{home}/mlruns/0/{milled}/artifacts", milled)
    yield home
    mlflow.set_tracking_uri(None)


def places(uri: str) -> set[str]:
    client = MlflowClient(uri)
    runs = {run.info.artifact_uri for run in client.search_runs(["0"])}
    versions = {version.source for version in client.search_model_versions()}
    return runs | versions | {client.get_experiment("0").artifact_location}


@pytest.mark.parametrize("move", [shutil.copytree, shutil.move])
def test_a_copy_writes_to_its_own_folder_and_reads_the_old_runs(
    original, tmp_path, monkeypatch, move
):
    copy = tmp_path / "elsewhere"
    before = sorted(map(str, original.rglob("*")))
    monkeypatch.chdir(tmp_path)
    move(original, copy)
    uri = use(copy, monkeypatch)
    STEP.main(["--minutes", "40"])  # reads the outputs of the mill's run
    assert {place.startswith(f"{copy}/") for place in places(uri)} == {True}
    assert "report.html" in kept(baked()[0])
    milled = next((copy / "mlruns" / "0").glob("*/artifacts/outputs.json"))
    texts = [file.read_text() for file in milled.parents[2].glob("*/artifacts/outputs.json")]
    assert any(f'"{copy}/data/lake/images"' in text for text in texts)
    if move is shutil.copytree:
        assert sorted(map(str, original.rglob("*"))) == before
        assert {str(original) in place for place in places(f"sqlite:///{original}/mlflow.db")} == {
            True
        }


def test_a_store_whose_artifacts_are_elsewhere_stays_as_it_is(original, tmp_path, monkeypatch):
    away = tmp_path / "store only"
    (away / "mlruns" / "0").mkdir(parents=True)
    shutil.copy(original / "mlflow.db", away)
    before = places(f"sqlite:///{away}/mlflow.db")
    follow_copied_store(f"sqlite:///{away}/mlflow.db")
    assert places(f"sqlite:///{away}/mlflow.db") == before


@pytest.mark.parametrize(
    ("name", "store", "expected"),
    [
        ("tmp2syxdtzl", "sqlite:////srv/work/mlflow.db", "/srv/work/data/lake"),
        ("tmp2syxdtzl", "http://lake:5000", "{home}/lakehouse-vision/data/lake"),
        ("lakehouse-vision", "sqlite:////srv/work/mlflow.db", "{project}/data/lake"),
    ],
)
def test_the_lake_of_a_project_that_mlflow_fetched_is_not_temporary(
    tmp_path, monkeypatch, name, store, expected
):
    (tmp_path / name / ".git").mkdir(parents=True)
    monkeypatch.setattr(profile, "PROJECT", tmp_path / name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    lake = profile.load_profile("local").lake
    assert lake == expected.format(home=Path.home(), project=tmp_path / name)

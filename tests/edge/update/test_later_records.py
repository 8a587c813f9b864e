"""Records of later versions, given to this agent and to the first one that ignores new fields."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from release_server import MODEL, ReleaseServer

from edge.inference.record import ModelRecord
from edge.update.self_test import run_self_test

PROJECT = Path(__file__).resolve().parents[3]
FIRST = "7992a1ee4856282d5773ec35632aa691245e0ced"
"""The commit whose agent ignores unknown fields: every later record has to work with it, or to
name the agent that it needs."""


@pytest.fixture(scope="module", params=["first", "current"])
def agent(request, tmp_path_factory) -> Path:
    """The folder with the code of an agent."""
    if request.param == "current":
        return PROJECT
    archived = subprocess.run(
        ["git", "archive", "--format=zip", FIRST, "edge"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    if archived.returncode:
        pytest.skip(f"NOT PROVEN HERE: the history has no commit {FIRST[:7]}; clone it in full")
    folder = tmp_path_factory.mktemp("first")
    with zipfile.ZipFile(io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder)
    return folder


def _release(server: ReleaseServer, folder: Path, number: int, to: Path, **fields) -> None:
    """Release a copy of a model whose record has other fields too."""
    shutil.copytree(folder, to)
    record = json.loads((to / "record.json").read_text())
    (to / "record.json").write_text(json.dumps(record | fields))
    server.release(to, number)


def _pull(agent: Path, server: ReleaseServer, models: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "edge", "pull", "--server", server.address]
    return subprocess.run(
        [*command, "--model", MODEL, "--into", str(models)],
        env=os.environ | {"PYTHONPATH": str(agent)},
        cwd=models.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_an_agent_takes_unknown_fields_and_keeps_its_model_if_it_is_too_old(
    agent, server, folders, tmp_path
):
    models = tmp_path / "models"
    later = {"record_version": 2, "later": {"anything": [1]}}
    _release(server, folders[1], 1, tmp_path / "1", **later)
    done = _pull(agent, server, models)
    assert done.returncode == 0, done.stderr
    assert (models / MODEL / "current").resolve().name == "release-1"

    required = {"requires": {"threshold": "0.1", "later": "97.3"}}
    _release(server, folders[2], 2, tmp_path / "2", **later, **required)
    done = _pull(agent, server, models)
    assert done.returncode != 0
    assert "release 2 needs agent ≥ 97.3: run install.sh" in done.stderr
    assert (models / MODEL / "current").resolve().name == "release-1"


@pytest.mark.slow
def test_a_threshold_of_any_label_needs_an_agent_that_knows_it(agent, server, folders, tmp_path):
    record = ModelRecord.read(folders[1])
    named = replace(record, threshold=0.25, threshold_label=record.labels[0])
    shutil.copytree(folders[1], tmp_path / "1")
    named.write(tmp_path / "1")
    server.release(tmp_path / "1", 1)
    done = _pull(agent, server, tmp_path / "models")
    if agent == PROJECT:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "release 1 needs agent ≥ 0.1.0: run install.sh" in done.stderr


def test_a_release_is_taken_once_the_agent_is_new_enough(updated, tmp_path, monkeypatch):
    required = {"requires": {"later": "97.3"}}
    _release(updated.server, updated.folders[2], 2, tmp_path / "2", **required)
    updater = updated.updater()
    for _ in range(2):  # it is no failure of the release: the reason stays
        with pytest.raises(Exception, match="^release 2 needs agent ≥ 97.3: run install.sh$"):
            updater.check()
    assert updated.require_working(1) == 1
    monkeypatch.setattr("edge.inference.record.FEATURES", {"later": "97.3"})
    monkeypatch.setattr("edge.update.updater.self_test_apart", run_self_test)  # which knows it too
    assert updater.check().release == 2

"""What a run keeps: it is read as it was left, and what is gone or damaged is told."""

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from steps.errors import UserError
from steps.pipeline.outputs import RegisterOutputs
from steps.pipeline.report import Report
from steps.pipeline.run_files import (
    log_run_files,
    missing_files_error,
    read_key_parts,
    read_outputs,
)

OUTPUTS = RegisterOutputs(model="package", version="3")
PARTS = {"parameter": {"epochs": 30}}


def _kept(run_id: str, name: str = "outputs.json") -> Path:
    """A file that a run keeps."""
    uri = MlflowClient().get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://")) / name


@pytest.fixture
def finished(store) -> str:
    """A finished run with all that it keeps."""
    with mlflow.start_run() as run:
        log_run_files(Report("register", run.info.run_id), PARTS, {"name": "farm"}, OUTPUTS)
    return run.info.run_id


def test_outputs_are_read_as_they_were_kept(finished):
    assert read_outputs(finished, RegisterOutputs) == OUTPUTS


def _deleted(file: Path) -> None:
    file.unlink()


def _with_its_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def _empty(file: Path) -> None:
    file.write_text("")


def _cut(file: Path) -> None:
    file.write_text(file.read_text()[:-8])


def _key_missing(file: Path) -> None:
    file.write_text('{"model": "package"}')


def _key_unknown(file: Path) -> None:
    file.write_text('{"model": "package", "version": "3", "alias": "champion"}')


def _other_type(file: Path) -> None:
    file.write_text('{"model": "package", "version": 3}')


def _no_record(file: Path) -> None:
    file.write_text("[]")


def _no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe{}")


@pytest.mark.parametrize(
    "damage",
    [
        *(_deleted, _with_its_folder, _empty, _cut, _key_missing, _key_unknown, _other_type),
        *(_no_record, _no_text),
    ],
)
def test_outputs_that_are_gone_or_damaged_are_reported(finished, damage):
    damage(_kept(finished))
    with pytest.raises(UserError) as caught:
        read_outputs(finished, RegisterOutputs)
    said = str(caught.value)
    assert said.startswith(f"run {finished} has no usable outputs.json (")
    assert said.endswith("run its step again") and "\n" not in said


def test_outputs_of_a_run_that_does_not_exist_are_reported(store):
    with pytest.raises(UserError, match=f"run {'0' * 32} has no usable outputs.json"):
        read_outputs("0" * 32, RegisterOutputs)


def test_a_whole_run_has_lost_nothing_and_knows_its_key(finished):
    assert missing_files_error(finished) is None
    assert read_key_parts(finished) == PARTS


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("report.html", _deleted, "report.html of run {} is gone"),
        ("report.html", _cut, "report.html of run {} is of another size"),
        ("files.json", _deleted, "files.json of run {} is gone"),
        ("files.json", _cut, "files.json of run {} is gone"),
        ("outputs.json", _deleted, None),  # which `read_outputs` tells
    ],
)
def test_a_file_that_is_lost_is_reported(finished, name, damage, said):
    damage(_kept(finished, name))
    assert missing_files_error(finished) == (said and said.format(finished))


@pytest.mark.parametrize("damage", [_deleted, _cut])
def test_without_its_record_nothing_is_known_of_a_key(finished, damage):
    damage(_kept(finished, "cache_key.json"))
    assert read_key_parts(finished) is None

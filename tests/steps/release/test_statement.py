"""The release statement in the tags of a version, as devices read it."""

import hashlib
import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from edge.protocol.release import RELEASE_TAG, Release
from steps.errors import UserError
from steps.release.statement import fetch_files, release_version


@pytest.fixture
def files(tmp_path) -> list[Path]:
    (tmp_path / "model.onnx").write_bytes(b"graph" * 100)
    (tmp_path / "record.json").write_text("{}\n", encoding="utf-8")
    return [tmp_path / "model.onnx", tmp_path / "record.json"]


@pytest.fixture
def registry(store) -> MlflowClient:
    client = MlflowClient()
    for model in ("package-onnx", "package-onnx-old"):
        client.create_registered_model(model)
        for _ in range(3):
            client.create_model_version(model, source="file:///nowhere")
    return client


def _statement(registry: MlflowClient, model: str, version: str) -> dict:
    return json.loads(registry.get_model_version(model, version).tags[RELEASE_TAG])


def test_a_statement_lists_the_files_to_fetch(registry, files):
    assert release_version("package-onnx", "2", files) == 1
    assert _statement(registry, "package-onnx", "2") == {
        "release": 1,
        "previous": 0,
        "model": "package-onnx",
        "version": "2",
        "files": {
            f"artifacts/{file.name}": {
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "bytes": len(file.read_bytes()),
            }
            for file in files
        },
    }
    for version in ("1", "3"):
        assert RELEASE_TAG not in registry.get_model_version("package-onnx", version).tags


def test_files_that_differ_from_the_statement_are_not_used(registry, files, tmp_path):
    """Scoring on Spark verifies what a device verifies."""
    source = tmp_path / "source"
    (source / "artifacts").mkdir(parents=True)
    for file in files:
        (source / "artifacts" / file.name).write_bytes(file.read_bytes())
    number = registry.create_model_version("package-onnx", source=str(source)).version

    def fetch(folder: str) -> Path:
        found = registry.get_model_version("package-onnx", number)
        return fetch_files(found, tmp_path / folder)

    (source / "artifacts" / "record.json").write_text("[]\n")
    assert (fetch("unreleased") / "record.json").read_text() == "[]\n"
    release_version("package-onnx", str(number), files)
    with pytest.raises(UserError, match=r"record.json differs from the released file") as caught:
        fetch("damaged")
    assert caught.value.fix.step == "export"
    (source / "artifacts" / "record.json").write_bytes(files[1].read_bytes())
    assert (fetch("released") / "record.json").read_text() == "{}\n"


def test_a_device_reads_the_statement(registry, files):
    release_version("package-onnx", "3", files)
    tags = registry.get_model_version("package-onnx", "3").tags
    release = Release.parse(tags[RELEASE_TAG])
    assert (release.release, release.model, release.version) == (1, "package-onnx", "3")
    assert [(file.name, file.bytes) for file in release.files] == [
        ("model.onnx", 500),
        ("record.json", 3),
    ]


@pytest.mark.parametrize("versions", ["123", "321", "121", "11"])
def test_each_release_of_a_model_has_the_next_number(registry, files, versions):
    numbers = [release_version("package-onnx", version, files) for version in versions]
    assert numbers == list(range(1, len(versions) + 1))
    for version in set(versions):
        newest = max(i + 1 for i, released in enumerate(versions) if released == version)
        assert _statement(registry, "package-onnx", version)["release"] == newest


def test_releases_of_another_model_do_not_count(registry, files):
    assert release_version("package-onnx-old", "1", files) == 1
    assert release_version("package-onnx-old", "2", files) == 2
    assert release_version("package-onnx", "1", files) == 1

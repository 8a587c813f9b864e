"""Reference images that are erased: of which models, and what devices get after that."""

import json
from contextlib import ExitStack
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from edge.inference.reference_images import REFERENCE_IMAGES_FILE, ReferenceImage, ReferenceImages
from edge.protocol.release import RELEASE_TAG, Release
from steps.erasure.releases import find_reference_files
from steps.release.statement import fetch_files, release_version

MODEL = "package-onnx"
A, B = "a" * 64, "b" * 64


class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


@pytest.fixture
def log(store, tmp_path):
    """Log a model with reference images of these hashes; register and release it if asked."""

    def log(*hashes: str, register: bool = True) -> None:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        images = [ReferenceImage(b"JPEG of " + one.encode(), {"m": [1.0]}, one) for one in hashes]
        ReferenceImages(tuple(images)).write(folder)
        files = [folder / name for name in ("model.onnx", "record.json", REFERENCE_IMAGES_FILE)]
        for file in files[:2]:
            file.write_text("{}")
        artifacts = {file.stem: str(file) for file in files}
        kinds = {"python_model": Nothing(), "artifacts": artifacts, "pip_requirements": ["numpy"]}
        logged = mlflow.pyfunc.log_model(name="onnx", **kinds)
        if register:
            version = mlflow.register_model(logged.model_uri, MODEL)
            release_version(MODEL, version.version, files)

    return log


def erase(*hashes: str) -> list[int]:
    """Erase, and return how many images of each model were erased."""
    with mlflow.start_run() as run, ExitStack() as until_end:
        files = find_reference_files(set(hashes), until_end)
        for file in files:
            file.erase([], run.info.run_id)
        return [file.removed for file in files]


def released(version: str, into: Path) -> tuple[int, list[str] | None]:
    """The number of a version's release, and the hashes of the images that devices get with it."""
    found = MlflowClient().get_model_version(MODEL, version)
    files = fetch_files(found, into)  # which compares each with the statement
    release = Release.parse(found.tags[RELEASE_TAG])
    if REFERENCE_IMAGES_FILE not in {file.name for file in release.files}:
        return release.release, None
    return release.release, [one.sha256 for one in ReferenceImages.read(files).images]


def test_versions_are_released_again_without_it_and_the_one_in_use_last(log, tmp_path):
    log(A, B)
    log(B)
    log(A)
    log(A, register=False)
    MlflowClient().set_registered_model_alias(MODEL, "champion", "1")
    assert erase("c" * 64) == [] and released("1", tmp_path)[0] == 1
    assert sorted(erase(A)) == [1, 1, 1]
    assert released("2", tmp_path) == (2, [B])
    assert released("3", tmp_path) == (4, None)
    assert released("1", tmp_path) == (5, [B])
    all_logged = mlflow.search_logged_models(output_format="list")
    assert erase(A) == [] and len(all_logged) == 4
    for logged in all_logged:
        local = Path(logged.artifact_location, "artifacts", REFERENCE_IMAGES_FILE)
        assert A not in {row["sha256"] for row in json.loads(local.read_text())["images"]}


def test_what_was_replaced_and_not_released_is_released_by_the_next(log, tmp_path, monkeypatch):
    log(A, B)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("steps.erasure.releases.release_changed", dies)
        with pytest.raises(KeyboardInterrupt):
            erase(A)
    assert erase(A) == [0] and released("1", tmp_path) == (2, [B])

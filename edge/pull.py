"""The released model, from an MLflow server onto this device."""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from edge.record import RecordError
from edge.registry import Registry
from edge.release import CURRENT, RELEASE_FILE, RELEASE_TAG, Release, ReleaseError
from edge.scoring import Scorer

GREY = 128
UNLOADABLE = (
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
)
"""What onnxruntime raises for a model that it cannot run; the classes share no base."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did: the version now in use, its release, its folder, and bytes downloaded."""

    version: str
    release: int
    folder: Path
    downloaded: int


def pull(server: str, model: str, alias: str, into: Path, keys: Sequence[str] = ()) -> Pulled:
    """Bring the version that an alias points at onto this device, and make it the current one.

    The files are downloaded beside the versions in use, compared with the release statement
    (length and SHA-256), and a grey picture is scored with them. Only then does the link
    ``<into>/<model>/current`` move to ``<into>/<model>/<version>``, in one step. Where
    anything fails, the model in use stays as it is. A release older than the one in use is
    refused; going back to a version is a newer release of it.

    Args:
        server: the MLflow server's address.
        model: the registered model's name.
        alias: which version of it, such as ``champion``.
        into: the folder of all models; made where it is missing.
        keys: the public keys of which one has to have signed the release; with none, anyone
            who can write to the registry decides what this device runs.

    Raises:
        edge.registry.RegistryError: the server does not give what was asked for.
        edge.signature.SignatureError: none of the keys signed the release.
        edge.release.ReleaseError: the version is not released, or its files are not what the
            release states, or the model fails its self-test.
    """
    registry = Registry(server)
    version = registry.version(model, alias)
    release = _released(version, model, alias)
    if keys:
        release.require_signature(list(keys))
    home = into / model
    if in_use := _in_use(home):
        release.require_newer(in_use)
    folder = home / release.version
    if _holds(folder, release):
        downloaded = 0
        if not _is_current(folder, release):
            _self_test(folder)
            _write_whole(folder / RELEASE_FILE, release.text)
    else:
        home.mkdir(parents=True, exist_ok=True)
        downloaded = sum(file.bytes for file in release.files)
        with tempfile.TemporaryDirectory(prefix=".staging-", dir=home) as staging:
            fresh = Path(staging, "fresh")
            fresh.mkdir()
            for file in release.files:
                registry.download(version, file.path, fresh / file.name, file.bytes)
            release.require_files(fresh)
            _self_test(fresh)
            (fresh / RELEASE_FILE).write_text(release.text, encoding="utf-8")
            if folder.exists():  # what is there is damaged: no one can be using it well
                folder.rename(Path(staging, "damaged"))
            fresh.rename(folder)
    _switch(home, release.version)
    return Pulled(release.version, release.release, folder, downloaded)


def _released(version, model: str, alias: str) -> Release:
    if not re.fullmatch(r"[\w. -]+", model) or model.startswith("."):
        raise ReleaseError(f"{model!r} cannot be a folder's name: give --model another one")
    if RELEASE_TAG not in version.tags:
        raise ReleaseError(
            f"{model} version {version.version} ({alias}) has no tag {RELEASE_TAG!r}: "
            "release it first, mlflow run . -e promote"
        )
    release = Release.parse(version.tags[RELEASE_TAG])
    if (release.model, release.version) != (model, version.version):
        raise ReleaseError(
            f"{model} version {version.version} carries the release statement of "
            f"{release.model} version {release.version}"
        )
    return release


def _in_use(home: Path) -> Release | None:
    """The release that is in use; None where there is none, or its statement is damaged."""
    try:
        return Release.parse((home / CURRENT / RELEASE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ReleaseError):
        return None


def _holds(folder: Path, release: Release) -> bool:
    """Whether a folder has all the files of a release, undamaged."""
    try:
        release.require_files(folder)
    except ReleaseError:
        return False
    return True


def _is_current(folder: Path, release: Release) -> bool:
    statement = folder / RELEASE_FILE
    return (
        (folder.parent / CURRENT).resolve() == folder.resolve()
        and statement.is_file()
        and statement.read_text(encoding="utf-8") == release.text
    )


def _self_test(folder: Path) -> None:
    """Score one grey picture; raise :class:`ReleaseError` where no probabilities come out."""
    try:
        scorer = Scorer(folder)
        height, width = scorer.record.input_size
        scores = scorer.score([np.full((height, width, 3), GREY, np.uint8)])
    except (RecordError, *UNLOADABLE) as error:
        reason = " ".join(str(error).split())
        raise ReleaseError(f"the model fails its self-test: {reason}") from error
    expected = (1, len(scorer.record.labels))
    if scores.shape != expected or not np.isclose(scores.sum(), 1, atol=1e-3):
        raise ReleaseError(
            f"the model fails its self-test: {scores.shape} {scores} are no probabilities "
            f"of {expected[1]} classes"
        )


def _switch(home: Path, version: str) -> None:
    with tempfile.TemporaryDirectory(prefix=".switch-", dir=home) as scratch:
        link = Path(scratch, CURRENT)
        link.symlink_to(version)
        os.replace(link, home / CURRENT)


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)

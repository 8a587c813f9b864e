"""One poll, from the alias to the switch, which begins the release's probation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.inference.record import AgentTooOldError, ModelRecord, RecordError
from edge.protocol.release import RELEASE_FILE, RELEASE_TAG, Release, ReleaseError
from edge.update.faultpoints import UpdateStep, reached
from edge.update.home import STAGING, ModelHome, write_durably
from edge.update.probation import Probation
from edge.update.registry import RegisteredVersion, Registry
from edge.update.self_test import CHOICE_FILE, Choice, runtime_fingerprint, tried
from edge.update.staging import DamagedError, fetch
from edge.update.state import Failure
from edge.update.switch import activate

LIMIT = 1 << 29
"""Bytes of a release's files: a device takes no more."""
RESERVE = 1 << 26
"""Bytes of the disk that a download leaves free."""
ATTEMPTS = 3
"""How often a release is tried whose files come damaged, or whose trial ends the process."""


@dataclass(frozen=True)
class Pulled:
    """What is in use after a pull.

    Attributes:
        version, release: the model's version and the number of its release.
        folder: where its files are.
        file: the one of its networks that this device chose.
        downloaded: bytes that came for it.
    """

    version: str
    release: int
    folder: Path
    file: str
    downloaded: int


class Updater:
    """Follows an alias of the registry, and keeps one model current on this device.

    Whatever fails, and wherever the process ends, the model in use stays in use: a release is
    fetched and tried beside it, and the link to it moves in one step. Then the release is on
    :attr:`probation`. What failed is not tried again, until there is a newer release or another
    runtime.

    Args:
        registry: where releases come from.
        model: the registered model's name.
        alias: which version of it, such as ``champion``.
        into: the folder of all models; made where it is missing.
        keys: the public keys of which one has to have signed the release; with none, anyone
            who can write to the registry decides what this device runs.
        threads: that the model will be used with, for its timing; 0 as onnxruntime likes.
        limit: bytes of a release's files; more is refused.
        reserve: bytes of the disk that a download leaves free.

    Example::

        updater = Updater(Registry("http://mlflow:5000"), "package-onnx", "champion", models)
        updater.probation.recover()             # once, before the model is loaded
        if updater.check():                     # at every poll
            …                                   # load the current model, score a few frames
            updater.probation.confirm()         # or revert("its scores are all the same")
    """

    def __init__(
        self,
        registry: Registry,
        model: str,
        alias: str,
        into: Path,
        keys: Sequence[str] = (),
        threads: int = 0,
        limit: int = LIMIT,
        reserve: int = RESERVE,
    ):
        if not re.fullmatch(r"[\w. -]+", model) or model.startswith("."):
            raise ReleaseError(f"{model!r} cannot be a folder's name: name another model")
        self.registry, self.model, self.alias, self.keys = registry, model, alias, list(keys)
        self.home = ModelHome(into / model)
        self.probation = Probation(self.home)
        self.refused: str | None = None
        """Why the release that the last poll saw is not tried; None where it is in use."""
        self._threads, self._limit, self._reserve = threads, limit, reserve
        self._intact = ""  # the digest of the release whose files were found whole

    def check(self, again: bool = False) -> Pulled | None:
        """Ask the registry once; bring what it has released and switch to it.

        The first call also compares the files in use with their release and mends them.

        Args:
            again: try a release that failed here once more.

        Returns:
            What is in use now, and on probation; None where nothing is new, or where the
            release failed here before (see :attr:`refused`).

        Raises:
            edge.update.server.RegistryError: the server does not give what was asked for.
            edge.protocol.signature.SignatureError: none of the keys signed the release.
            edge.protocol.release.ReleaseError: the version is not released, its release is not
                newer, its files are not what it states, or the model fails its trial.
            edge.files.disk_space.SpaceError: the disk is full or cannot be written.
            edge.update.home.BusyError: another process is updating the model.
        """
        self.refused = None
        version = self.registry.version(self.model, self.alias)
        release = self._released(version)
        if self.keys:
            release.require_signature(self.keys)
        with self.home.bringing():
            in_use = self.home.in_use()
            if in_use and in_use.digest == release.digest and self._is_intact(in_use):
                return None
            state = self.home.state
            if release.digest not in (state.statement, in_use and in_use.digest):
                release.require_newer(max(state.taken, in_use.release if in_use else 0))
            failure = state.failures.get(release.digest)
            if (
                failure
                and not again
                and failure.final
                and failure.runtime_fingerprint == runtime_fingerprint()
            ):
                self.refused = f"release {failure.release} failed here: {failure.reason}"
                return None
            return self._bring(version, release)

    @property
    def in_use(self) -> Pulled | None:
        """The model in use; None where there is none."""
        folder, release = self.home.current, self.home.in_use()
        if folder is None or release is None:
            return None
        file = Choice.read(folder).file
        return Pulled(release.version, release.release, folder, file, downloaded=0)

    def _released(self, version: RegisteredVersion) -> Release:
        if RELEASE_TAG not in version.tags:
            raise ReleaseError(
                f"{self.model} version {version.version} ({self.alias}) has no tag "
                f"{RELEASE_TAG!r}: release it first, mlflow run . -e promote"
            )
        release = Release.parse(version.tags[RELEASE_TAG])
        if (release.model, release.version) != (self.model, version.version):
            raise ReleaseError(
                f"{self.model} version {version.version} carries the release statement of "
                f"{release.model} version {release.version}"
            )
        size = sum(file.bytes for file in release.files)
        if size > self._limit:
            raise ReleaseError(
                f"release {release.release} of {self.model} has {size} bytes, and this device "
                f"takes {self._limit}"
            )
        return release

    def _is_intact(self, release: Release) -> bool:
        """Whether the files in use are as released; looked at once while the release is in use."""
        if self._intact != release.digest:
            current = self.home.current
            if current is None or not all(f.is_at(current / f.name) for f in release.files):
                return False
            self._intact = release.digest
        return True

    def _bring(self, version: RegisteredVersion, release: Release) -> Pulled:
        staging = self.home.folder / f"{STAGING}{release.digest[:16]}"
        folder = self.home.folder / f"release-{release.release}"
        self._tidy(staging, folder)
        have = [place for place in (self.home.current, self.home.previous, folder) if place]
        try:
            downloaded = fetch(
                *(self.registry, version, release, staging, have), reserve=self._reserve
            )
        except DamagedError as error:
            self._count(release, str(error))
            raise
        self._require_new_enough_agent(release, staging)
        self._count(release, f"its trial ended the process {ATTEMPTS} times")
        reached(UpdateStep.COUNTED)
        try:
            choice = tried(staging, self._threads)
        except ReleaseError as error:
            self._count(release, str(error), final=True)
            raise
        reached(UpdateStep.TRIED)
        write_durably(staging / CHOICE_FILE, choice.text())
        write_durably(staging / RELEASE_FILE, release.text)
        reached(UpdateStep.CHOSEN)
        activate(self.home, release, staging, folder)
        self._tidy()
        self._intact = release.digest
        return Pulled(release.version, release.release, folder, choice.file, downloaded)

    @staticmethod
    def _require_new_enough_agent(release: Release, staging: Path) -> None:
        """Raise :class:`ReleaseError` if a release needs a newer agent; it may do there later."""
        try:
            ModelRecord.read(staging)
        except AgentTooOldError as error:
            raise ReleaseError(f"release {release.release} {error}") from error
        except (RecordError, OSError):
            return  # the self-test says what is wrong with it

    def _tidy(self, *but: Path) -> None:
        with self.home.changing():
            self.home.tidy(*but)

    def _count(self, release: Release, reason: str, final: bool = False) -> None:
        """Count a failed attempt; one too many is the last."""
        with self.home.changing():
            before = self.home.state.failures.get(release.digest)
            attempts = 1 + (before.attempts if before else 0)
            final = final or attempts >= ATTEMPTS
            failure = Failure(release.release, reason, attempts, final, runtime_fingerprint())
            self.home.remember_failure(release.digest, failure)

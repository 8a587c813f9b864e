"""One poll: from the alias to the switch, with which the release's probation begins."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edge.files.atomic import write_atomically
from edge.inference.errors import describe_error
from edge.protocol.freshness import FRESHNESS_FILE, Freshness, read_freshness
from edge.protocol.release import RELEASE_FILE, Release, ReleaseError
from edge.protocol.rollout import failed_here
from edge.protocol.signature import KEYS_FILE, SignatureError, pinned_keys
from edge.update.errors import CrashedError
from edge.update.home import MAX_ATTEMPTS, RELEASE, STAGING, ModelHome, is_release
from edge.update.probation import Probation
from edge.update.registry import Registry
from edge.update.self_test import SELF_TEST_FILE, SelfTestResult, runtime_fingerprint
from edge.update.self_test_process import self_test_apart
from edge.update.staging import download_release
from edge.update.switch import activate

MAX_RELEASE_BYTES = 1 << 29
"""The largest release, in bytes of its files, that a device downloads."""
RESERVED_BYTES = 1 << 26
"""Bytes of the disk that a download leaves free."""


@dataclass(frozen=True)
class UpdateResult:
    """The model in use after the updater's check.

    Attributes:
        version, release: the model's version and the number of its release.
        folder: where its files are.
        file: the network that the self-test selected.
        downloaded: bytes downloaded to get it.
    """

    version: str
    release: int
    folder: Path
    file: str
    downloaded: int


@dataclass
class Updater:
    """Follows an alias of the registry, and keeps one model up to date on this device.

    Whatever fails, and whenever the process ends, the model in use stays in use: a release is
    downloaded and self-tested beside it, and the link moves in one step. Then the release is on
    :attr:`probation`. A release that failed is not installed again, unless there is a newer one or
    another runtime.

    Attributes:
        registry: the source of the releases.
        model: the registered model's name.
        alias: selects its version, such as ``champion``.
        into: the folder of all models; created if it is missing.
        keys: the public keys of which one has to have signed the release; without any, those of
            the first signed release are trusted from then on.
        unsigned: whether unsigned releases are installed as long as no key is trusted; everyone who
            can write to the registry then decides what this device runs.
        threads: that the model will use, for its timing; 0 for onnxruntime's default.
        reserve: bytes of the disk that a download leaves free.
        device: its ID, which decides when a rollout reaches it; "" follows the alias alone.
        synced_time: returns the time; None while nothing vouches for the clock.
        refusal: why the last poll did not install the release that it saw; None if it is in use.
        home: the model's folder.
        probation: of its release.

    Example::

        updater = Updater(Registry("http://mlflow:5000"), "package-onnx", "champion", models)
        updater.probation.recover()             # once, before the model is loaded
        if updater.check():                     # at every poll
            …                                   # load the current model, score a few frames
            updater.probation.commit()          # or rollback("its scores are all the same")
    """

    registry: Registry
    model: str
    alias: str
    into: Path
    keys: Sequence[str] = ()
    unsigned: bool = False
    threads: int = 0
    reserve: int = RESERVED_BYTES
    device: str = ""
    synced_time: Callable[[], datetime | None] = lambda: None
    refusal: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w. -]+", self.model) or self.model.startswith("."):
            raise ReleaseError(f"{self.model!r} cannot be a folder's name: name another model")
        self.home = ModelHome(self.into / self.model)
        self.probation = Probation(self.home)
        self._intact = ""  # the digest of the release whose files were compared with it

    def check(self, again: bool = False) -> UpdateResult | None:
        """Poll the registry once; install its release and switch to it.

        The first call also compares the files in use with their release and repairs them.

        Args:
            again: install a release even if it failed on this device before.

        Returns:
            The new model in use, on probation; None if nothing is new, or if the release failed on
            this device before (see :attr:`refusal`).

        Raises:
            edge.update.errors.RegistryError: the server does not deliver what was requested.
            edge.protocol.signature.SignatureError: none of the keys signed the release.
            edge.protocol.release.ReleaseError: the version is not released, its release is not
                newer, its files are not what it states, or the model fails its self-test.
            edge.files.disk_space.SpaceError: the disk is full or cannot be written.
            edge.update.errors.BusyError: another process is updating the model.
        """
        self.refusal = None
        *canaries, release = self.registry.releases(self.model, self.alias, self.device)
        with self.home.update_lock():
            self._note_freshness(release)  # of the alias, whatever the canary's is
        for canary in canaries:
            pulled = self._check_canary(canary, again)
            if self.refusal is None:
                return pulled
        of_canary, self.refusal = self.refusal, None
        pulled = self._follow(release, again)
        self.refusal = self.refusal or of_canary
        return pulled

    def _check_canary(self, canary: Release, again: bool) -> UpdateResult | None:
        """Follow a canary's release; if it is refused or fails, say so as :attr:`refusal`."""
        try:
            return self._follow(canary, again)
        except (ReleaseError, SignatureError) as error:
            failure = self.home.state.failures.get(canary.digest)
            why = describe_error(error)
            self.refusal = failed_here(canary.release, why) if failure else f"canary: {why}"
            return None

    def _follow(self, release: Release, again: bool) -> UpdateResult | None:
        """Install a release and switch to it, unless it is in use or failed here before."""
        self._require_signature(release)
        if release.bytes > MAX_RELEASE_BYTES:
            raise ReleaseError(
                f"release {release.release} of {self.model} has {release.bytes} bytes, and this "
                f"device takes {MAX_RELEASE_BYTES}"
            )
        with self.home.update_lock():
            active = self.home.active_release()
            if active and active.digest == release.digest and self._is_intact(active):
                return None
            state = self.home.state
            if release.digest not in (state.digest, active and active.digest):
                release.require_newer(max(state.highest_release, active.release if active else 0))
            failure = state.failures.get(release.digest)
            if failure and failure.is_final_with(runtime_fingerprint()) and not again:
                self.refusal = failed_here(failure.release, failure.reason)
                return None
            return self._install(release)

    def _require_signature(self, release: Release) -> None:
        """Require a good signature by a trusted key, or trust the keys of the first release."""
        keys = list(self.keys) or pinned_keys(None, self.into)  # possibly since the start
        self.keys = release.require_trusted(keys, self.unsigned)
        if self.keys and not keys:
            text = "# of the first release here\n" + "".join(f"{key}\n" for key in self.keys)
            write_atomically(self.into / KEYS_FILE, text.encode())

    @property
    def freshness(self) -> Freshness | None:
        """The newest freshness statement that a trusted key has signed; None without one."""
        return read_freshness(self.home.folder, list(self.keys), self.model, self.alias)

    def _note_freshness(self, release: Release) -> None:
        """Keep a newer freshness statement; refuse one that goes back or does not belong here."""
        if not (release.freshness and self.keys):
            return  # what is known expires
        stated, known = Freshness.parse(release.freshness, list(self.keys)), self.freshness
        stated.require_of(release, self.alias)
        if known and stated.issued < known.issued and not self._is_ahead(known):
            raise ReleaseError(
                f"the server shows release {release.release} with an older freshness statement "
                "than before: it replays what it had"
            )
        if known is None or stated.text != known.text:
            write_atomically(self.home.folder / FRESHNESS_FILE, stated.text.encode())

    def _is_ahead(self, known: Freshness) -> bool:
        """Return whether the signer's clock was ahead, as far as this device can know."""
        now = self.synced_time()
        return now is not None and known.is_ahead(now)

    @property
    def active(self) -> UpdateResult | None:
        """The model in use, or None."""
        folder, release = self.home.current, self.home.active_release()
        if folder is None or release is None:
            return None
        file = SelfTestResult.read(folder).file
        return UpdateResult(release.version, release.release, folder, file, downloaded=0)

    def _is_intact(self, release: Release) -> bool:
        """Return whether the files in use are as released; they are compared once."""
        if self._intact != release.digest:
            current = self.home.current
            if current is None or not all(f.is_at(current / f.name) for f in release.files):
                return False
            self._intact = release.digest
        return True

    def _install(self, release: Release) -> UpdateResult:
        """Download a release, self-test it, and switch to it."""
        staging = self.home.folder / f"{STAGING}{release.digest[:16]}"
        folder = self.home.folder / f"{RELEASE}{release.release}"
        if folder.exists() and folder != self.home.current and not is_release(folder):
            raise ReleaseError(f"{folder} is in the way and is no release: move it elsewhere")
        self.home.clean_up(staging, folder)
        have = [place for place in (self.home.current, self.home.previous, folder) if place]
        downloaded = download_release(self.registry, release, staging, have, self.reserve)
        # counted before, since a weak power supply may end the device
        self._save_failure(release, f"its self-test ended the process {MAX_ATTEMPTS} times")
        try:
            result = self_test_apart(staging, self.threads)
        except ReleaseError as error:
            is_final = not isinstance(error, CrashedError)
            self._save_failure(release, str(error), is_final, attempts=0)
            raise
        except OSError:  # it has not even begun
            self.home.forget_failures(release)
            raise
        self.home.forget_failures(release)  # what fails from here on is no fault of the release
        (staging / SELF_TEST_FILE).write_text(result.text(), encoding="utf-8")
        (staging / RELEASE_FILE).write_text(release.text, encoding="utf-8")
        activate(self.home, release, staging, folder)
        self.home.clean_up()
        self._intact = release.digest
        return UpdateResult(release.version, release.release, folder, result.file, downloaded)

    def _save_failure(
        self, release: Release, reason: str, final: bool = False, attempts: int = 1
    ) -> None:
        with self.home.state_lock():
            self.home.add_failure(release, reason, final, attempts)

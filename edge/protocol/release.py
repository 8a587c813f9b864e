"""The release statement: which files of which version a device has to run."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge.inference.errors import UserError
from edge.inference.record import MODEL_FILE, RECORD_FILE
from edge.protocol.signature import require_signature, signed_content

RELEASE_FILE = "release.json"
RELEASE_TAG = "release"
"""Of a version: its statement. Of the registered model: the number of its last release."""

LONGEST_LEAP = 1000
"""Releases that a device may have missed."""

CURRENT = "current"
"""The link to the release in use, in the folder that holds the releases."""


class ReleaseError(UserError):
    """A release statement is damaged, or files differ from it."""


@dataclass(frozen=True)
class ReleasedFile:
    """One file of a release: its path below the version's artifacts, its SHA-256 and its size."""

    path: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """Return the file's name on the device, without its folder."""
        return PurePosixPath(self.path).name

    def require(self, path: Path) -> None:
        """Raise :class:`ReleaseError` unless a file is, byte for byte, as stated."""
        if difference := self._difference(path):
            raise ReleaseError(f"{self.name} differs from the released file: {difference}")

    def is_at(self, path: Path) -> bool:
        """Return whether a file is, byte for byte, as stated."""
        return self._difference(path) is None

    def _difference(self, path: Path) -> str | None:
        length = path.stat().st_size if path.is_file() else None
        if length != self.bytes:
            return f"{length} bytes, not {self.bytes}"
        return None if sha256_of(path) == self.sha256 else "another SHA-256"


@dataclass(frozen=True)
class Release:
    """A release statement.

    Attributes:
        release: the number of the release.
        previous: that of the one before; 0 if it is the first, or the statement names none.
        model: the registered model's name.
        version: the model's version.
        files: what belongs to it; among them the model and its record.
        text: the statement as it was published.
        freshness: the freshness statement that came with it; empty if there was none.
    """

    release: int
    previous: int
    model: str
    version: str
    files: tuple[ReleasedFile, ...]
    text: str
    freshness: str = ""

    @classmethod
    def parse(cls, text: str) -> "Release":
        """Read a statement such as
        ``{"release": 3, "model": "package-onnx", "version": "2",
        "files": {"artifacts/model.onnx": {"sha256": "…", "bytes": 123}, …}}``.

        Raises:
            ReleaseError: it is damaged, or a path in it leads out of its folder.
        """
        try:
            stated = json.loads(text)
            files = tuple(
                ReleasedFile(path, file["sha256"], file["bytes"])
                for path, file in stated["files"].items()
            )
            number, before = stated["release"], stated.get("previous", 0)
            release = cls(number, before, stated["model"], stated["version"], files, text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ReleaseError(f"the release statement is damaged: {error!r}") from error
        release._require_sound()
        return release

    def _require_sound(self) -> None:
        numbers = (self.release, self.previous)
        if not (all(map(_is_count, numbers)) and re.fullmatch(r"\d+", str(self.version))):
            raise ReleaseError(
                "the release statement is damaged: release or version is not a number"
            )
        for file in self.files:
            if _leads_out_of_release(file.path):
                raise ReleaseError(f"the release names an unsafe path: {file.path!r}")
            if not re.fullmatch(r"[0-9a-f]{64}", str(file.sha256)) or not _is_count(file.bytes):
                raise ReleaseError(f"the release states no SHA-256 or length for {file.path}")
        names = [file.name for file in self.files]
        if len(set(names)) < len(names) or RELEASE_FILE in names:
            raise ReleaseError(f"the release names a file twice: {' '.join(sorted(names))}")
        missing = {MODEL_FILE, RECORD_FILE} - set(names)
        if missing:
            raise ReleaseError(f"the release lacks {' and '.join(sorted(missing))}")

    def require_signature(self, keys: list[str]) -> None:
        """Raise :class:`SignatureError` unless one of the public keys signed it."""
        require_signature(json.loads(self.text), keys)

    def require_trusted(self, keys: list[str], unsigned: bool) -> list[str]:
        """Return the keys that a device trusts with this release: its own, or else the signers.

        Args:
            keys: that the device trusts so far.
            unsigned: whether an unsigned release will do as long as the device trusts no key.

        Raises:
            SignatureError: none of the keys signed it; or a signature of the first signers is bad.
        """
        if keys or not (self.signers or unsigned):
            self.require_signature(keys)
        for key in [] if keys else self.signers:
            self.require_signature([key])
        return keys or self.signers

    @property
    def signers(self) -> list[str]:
        """The public keys that the statement names as its signers; nothing is verified yet."""
        signatures = json.loads(self.text).get("signatures")
        return sorted(signatures) if isinstance(signatures, dict) else []

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what is signed: it stays if the same release is signed again."""
        return hashlib.sha256(signed_content(json.loads(self.text))).hexdigest()

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    def require_newer(self, than: int) -> None:
        """Raise :class:`ReleaseError` if a device that has had a later release is given this one.

        Numbers only grow: an older statement is a replay, even if its signature is valid. Nor may
        a number leap, or a device that took it would refuse all later releases.

        Args:
            than: the highest release number that the device has had.
        """
        if self.release <= than:
            raise ReleaseError(
                f"release {self.release} of {self.model} is not newer than release {than}, "
                "which this device has had: to go back to a version, release it again "
                "(mlflow run . -e promote -P version=… --env-manager local); on a device that was "
                "given another registry, delete the model's folder"
            )
        if than and self.release > than + LONGEST_LEAP and self.previous != than:
            raise ReleaseError(
                f"release {self.release} of {self.model} is far ahead of release {than}, the last "
                f"one here, and follows release {self.previous}: if that is right, delete the "
                "model's folder"
            )

    def require_files(self, folder: Path) -> None:
        """Raise :class:`ReleaseError` unless each file in a folder is, byte for byte, as stated."""
        for file in self.files:
            file.require(folder / file.name)


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0


def read_release(folder: Path) -> Release | None:
    """Read a folder's release statement; None if it is missing or damaged."""
    try:
        return Release.parse((folder / RELEASE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ReleaseError):
        return None


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leads_out_of_release(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not parts or path.startswith("/") or "\\" in path or ".." in parts or ":" in path

"""The labels of a sitting that no table has yet, each on disk before the page says so."""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Container
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from steps.atomic import make_folder, sync_folder, write_atomically
from steps.errors import UserError
from steps.ingestion.label_rows import LabelRow
from steps.settings.profile import Profile, data_home


class JournalError(Exception):
    """Labels could not be written to disk, so they are not acknowledged."""


def journal_folder(profile: Profile) -> Path:
    """Return where the journal of a lake is: in it, or beside the data if the lake is remote."""
    if "://" not in profile.lake:
        return Path(profile.lake, "labelling")
    name = hashlib.sha256(profile.lake.encode()).hexdigest()[:16]
    return data_home() / "data" / "labelling" / name


class Journal:
    """A file with a line for each label; one process holds it.

    What a killed process left in it is still there: :attr:`rows` begins with that.

    Args:
        folder: its folder, created if missing.

    Raises:
        UserError: another process holds it, or a line of it is damaged.
    """

    def __init__(self, folder: Path):
        try:
            make_folder(str(folder))
            self._lock = os.open(folder / "sitting.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise UserError(
                f"{error.filename} cannot be written ({error.strerror}); label as the user who "
                "owns the images of this lake, or make it writable"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            address = os.pread(self._lock, 1000, 0).decode() or "an address that it will print"
            os.close(self._lock)
            raise UserError(
                f"another page labels the images of this lake, at {address}; use that one, or end "
                "it there"
            ) from None
        os.ftruncate(self._lock, 0)
        self._path = folder / "labels.jsonl"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        # a line without its end was being written when the process died, and one with zeros when
        # the power went: neither was acknowledged
        content = self._path.read_bytes().partition(b"\0")[0]
        self._size = content.rfind(b"\n") + 1
        self.rows = [
            self._parse(number, line)
            for number, line in enumerate(content[: self._size].splitlines(), start=1)
        ]
        sync_folder(folder)

    def show(self, address: str) -> None:
        """Let a process that finds the journal in use say where the page is."""
        os.pwrite(self._lock, address.encode(), 0)

    def append(self, rows: list[LabelRow]) -> None:
        """Write rows, all or none, and return once they would survive a power cut.

        Raises:
            JournalError: the disk is full, or fails.
        """
        content = _lines(rows)
        try:
            os.ftruncate(self._file, self._size)  # what an append that failed has left
            written = 0
            while written < len(content):
                written += os.pwrite(self._file, content[written:], self._size + written)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise JournalError(f"{self._path}: {error.strerror}") from error
        self._size += len(content)
        self.rows += rows

    def remove(self, images: Container[str]) -> int:
        """Remove the rows of some images, all or none; return how many there were."""
        kept = [row for row in self.rows if row.sha256 not in images]
        removed = len(self.rows) - len(kept)
        if removed:
            content = _lines(kept)
            write_atomically(str(self._path), content, 0o600)
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDWR)
            self._size, self.rows = len(content), kept
        return removed

    def clear(self) -> None:
        """Remove the rows, which a table has now; rows that a power cut brings back do no harm."""
        os.ftruncate(self._file, 0)
        self._size, self.rows = 0, []

    def close(self) -> None:
        """Let another process hold the journal."""
        os.close(self._file)
        os.close(self._lock)

    def _parse(self, number: int, line: bytes) -> LabelRow:
        try:
            values: list[Any] = json.loads(line)
            row = LabelRow(*values)
            return row._replace(labelled_at=datetime.fromisoformat(values[5]))
        except (ValueError, TypeError, IndexError) as error:
            raise UserError(
                f"line {number} of {self._path} is damaged; remove that line, and start again"
            ) from error


def _lines(rows: list[LabelRow]) -> bytes:
    """Return rows as the lines of the file."""
    lines = [json.dumps(row._replace(labelled_at=row.labelled_at.isoformat())) for row in rows]  # type: ignore[arg-type]
    return "".join(f"{line}\n" for line in lines).encode()

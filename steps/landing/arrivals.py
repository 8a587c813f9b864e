"""The log of the files that have arrived in a landing zone, in bounded chunks.

Spark's own stream of files identifies a file by its path alone, skips empty files, lists all files
again in every trigger, and takes seconds to start. Here a landing zone is listed once a call. Files
that are new by path, size or time of change are recorded in a chunk, a small file of JSON lines
that never changes again, and the chunks are processed in their order. A chunk's name is the
transaction under which its rows are written once. Of two runs that read the same log and number
their chunks alike, one can write: so a file is in one chunk, even if a run lost its lease without
noticing.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

import fsspec

from steps.atomic import create_atomically, make_folder, sync_spark, write_atomically
from steps.errors import RunAgain, UserError
from steps.landing.listing import LandedFile
from steps.landing.walk import listed_time
from steps.settings.profile import Profile

NOTED = "_noted-"
"""How the names of files begin that are no chunks: theirs need no work."""

ID = "_id"
"""The file that says with what the names of chunks end."""

ARRIVAL = "path STRING, bytes BIGINT, modified_at TIMESTAMP"
"""The columns of a landed file in Spark."""


class Limits(NamedTuple):
    """The most files and bytes of a chunk, which holds at least one file."""

    files: int
    bytes: int


class Chunk(NamedTuple):
    """Files that are processed together: the chunk's name, when it was recorded, and the files."""

    name: str
    recorded_at: datetime
    files: list[LandedFile]


class Arrivals:
    """The log of arrivals in one landing zone."""

    def __init__(self, profile: Profile, source: str):
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        self.home = f"{profile.lake}/_ingest/{name}"
        self.chunks = f"{self.home}/arrivals"
        self._filesystem, self._folder = fsspec.core.url_to_fs(self.chunks)
        self._done = f"{self.home}/done"
        self._known: int | None = None  # chunks in the log when this object read it

    def exists(self) -> bool:
        """Return whether anything was ever recorded."""
        return bool(self._chunk_names())

    def recorded(self) -> Iterator[LandedFile]:
        """Return the files that are in chunks or were noted."""
        paths = self._paths()
        self._known = len(_chunks_among(paths))
        for path in paths:
            yield from _read_chunk(self._filesystem, path)

    def note(self, files: list[LandedFile]) -> None:
        """Record files whose rows are in the tables already: they need no work."""
        make_folder(self.chunks)
        self._write(files, f"{NOTED}{uuid.uuid4().hex}.json")

    def belong_to(self, table_id: str) -> None:
        """Delete the log if its files went into another table, which was deleted since."""
        place = f"{self.home}/table_id"
        before = self._filesystem.cat_file(place) if self._filesystem.exists(place) else b""
        if before.decode() not in ("", table_id):
            for log in (self.chunks, self._done):
                if self._filesystem.exists(log):
                    self._filesystem.rm(log, recursive=True)
        if before.decode() != table_id:
            write_atomically(place, table_id.encode())

    def select_new(self, files: Iterable[LandedFile]) -> list[LandedFile]:
        """Return the files that are not recorded as they are now."""
        recorded = set(self.recorded())
        return [file for file in files if file not in recorded]

    def record(self, files: list[LandedFile], limits: Limits) -> int:
        """Write files into chunks and return the number of chunks.

        After an interruption between two chunks, the remaining files are new to the next call.

        Raises:
            UserError: another run has recorded files since this one read the log.
        """
        make_folder(self.chunks)
        chunks = list(_chunked(files, limits))
        if self._known is None:
            self._known = len(self._chunk_names())
        ending = self._id() if chunks else ""
        for chunk in chunks:
            name = f"{self._known:08}-{ending}.json"
            if not create_atomically(f"{self.chunks}/{name}", _format(chunk)):
                raise UserError("another run recorded files meanwhile; nothing is lost", RunAgain())
            self._known += 1
        return len(chunks)

    def _id(self) -> str:
        """Return what the names of all chunks of this log end with; those of another log do not.

        A table remembers the names that it has rows of, and a log that was lost starts again.
        """
        place = f"{self._folder}/{ID}"
        if not self._filesystem.exists(place):
            create_atomically(f"{self.chunks}/{ID}", uuid.uuid4().hex.encode())
        return str(self._filesystem.cat_file(place).decode())

    def has_pending(self) -> bool:
        """Return whether a chunk may still need work."""
        return len(self._chunk_names()) > self._chunks_done()

    def mark_done(self) -> None:
        """Record that the work is done on all chunks that this object knows of."""
        self._mark(len(self._chunk_names()) if self._known is None else self._known)

    def process_new(
        self,
        files: Iterable[LandedFile],
        limits: Limits,
        process: Callable[[Chunk], None],
        may_write: Callable[[], None] = lambda: None,
    ) -> int:
        """Record the files that are new, process all chunks that need it, and mark them done.

        Args:
            files: those of the landing zone.
            limits: of a chunk.
            process, may_write: see :meth:`process_pending`; may_write is also called before
                anything is recorded.

        Returns:
            the number of files that were new.
        """
        new = self.select_new(files)
        may_write()
        self.record(new, limits)
        if self.has_pending():
            self.process_pending(process, may_write)
            self.mark_done()
        return len(new)

    def process_pending(
        self, process: Callable[[Chunk], None], may_write: Callable[[], None] = lambda: None
    ) -> None:
        """Pass each chunk that this object knows of, and that is not done, to a function.

        All but the last count as done when the next one begins: what the caller does with all of
        them comes before :meth:`mark_done`.

        Args:
            process: of a chunk; it may get one twice, after an interruption.
            may_write: raises if another run writes to the log; called before each chunk.
        """
        done = self._chunks_done()
        for number, name in enumerate(self._chunk_names()[done : self._known], done):
            if number > done:  # an interruption costs the work on one chunk
                self._mark(number)
            may_write()
            path = f"{self._folder}/{name}"
            recorded_at = listed_time(self._filesystem.info(path))
            process(Chunk(name, recorded_at, _read_chunk(self._filesystem, path)))

    def _mark(self, done: int) -> None:
        """Record how many chunks are done."""
        sync_spark()
        # files of chunks that are done may be erased since: none of them is to be processed again
        write_atomically(self._done, str(done).encode())

    def _chunks_done(self) -> int:
        try:
            return int(self._filesystem.cat_file(self._done))
        except (FileNotFoundError, ValueError):  # none yet, or damaged
            return 0

    def _write(self, files: list[LandedFile], name: str) -> None:
        write_atomically(f"{self.chunks}/{name}", _format(files))

    def _chunk_names(self) -> list[str]:
        return _chunks_among(self._paths())

    def _paths(self) -> list[str]:
        if not self._filesystem.exists(self._folder):
            return []
        self._filesystem.invalidate_cache(self._folder)
        paths = self._filesystem.ls(self._folder, False)
        names = {path: PurePosixPath(path).name.removeprefix(NOTED) for path in paths}
        return [path for path, name in names.items() if not name.startswith(("_", "."))]


@cache
def _read_chunk(filesystem: fsspec.AbstractFileSystem, path: str) -> list[LandedFile]:
    """Read a chunk once: it never changes, and each poll asks for all of them."""
    return list(_parse(filesystem.cat_file(path)))


def _chunks_among(paths: list[str]) -> list[str]:
    names = (PurePosixPath(path).name for path in paths)
    return sorted(name for name in names if not name.startswith(NOTED))


def _format(files: list[LandedFile]) -> bytes:
    # in ASCII: a name may hold bytes that are not UTF-8, which are surrogates here
    lines = (json.dumps(file._asdict(), default=datetime.isoformat) for file in files)
    return "\n".join(lines).encode()


def _parse(lines: bytes) -> Iterator[LandedFile]:
    for line in lines.splitlines():
        file = json.loads(line)
        changed = datetime.fromisoformat(file["modified_at"]).astimezone(UTC)
        yield LandedFile(file["path"], file["bytes"], changed)


def _chunked(files: list[LandedFile], limits: Limits) -> Iterator[list[LandedFile]]:
    chunk: list[LandedFile] = []
    size = 0
    for file in files:
        if chunk and (len(chunk) >= limits.files or size + file.bytes > limits.bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.bytes
    if chunk:
        yield chunk

"""The ledger of arrivals: which files of a landing zone were seen, in bounded chunks.

Spark's own file source knows a file by its path alone, skips files without bytes, and lists
everything again in every trigger. Here a landing zone is listed once a call; what is new, by path,
size and time of change, is noted in a chunk, a small file of JSON lines that never changes again,
and Spark's stream reads the chunks. A chunk's name is the key under which its images are
written once.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import fsspec

from steps.ingestion.landing import LandedFile
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

KNOWN = "_known.json"
"""Below the chunks, where Spark does not see it."""

ARRIVAL = "path STRING, bytes BIGINT, modified_at TIMESTAMP"


class Limits(NamedTuple):
    """How much a chunk holds: files, and bytes (one file at least)."""

    files: int
    bytes: int


class Arrivals:
    """The ledger of one landing zone."""

    def __init__(self, profile: Profile, source: str):
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        self.home = f"{profile.lake}/_ingest/{name}"
        self.chunks = f"{self.home}/arrivals"
        self.checkpoint = f"{self.home}/checkpoint"
        self._filesystem, self._folder = fsspec.core.url_to_fs(self.chunks)
        self._settled = f"{self._folder.rpartition('/')[0]}/settled"

    def exists(self) -> bool:
        """Whether anything was ever noted."""
        return bool(self._names())

    def noted(self) -> Iterator[tuple]:
        """The files that are in chunks, or known without: path, bytes, modified_at."""
        for name in self._names():
            yield from _files_of_chunk(self._filesystem, f"{self._folder}/{name}")
        known = f"{self._folder}/{KNOWN}"
        if self._filesystem.exists(known):
            yield from _files_in(self._filesystem.cat_file(known))

    def know(self, files: list[LandedFile]) -> None:
        """Keep which files are in the tables, where the ledger that noted them is lost."""
        self._filesystem.makedirs(self._folder, exist_ok=True)
        self._write(files, KNOWN)

    def new_among(self, files: Iterable[LandedFile]) -> list[LandedFile]:
        """Those files that were not noted as they are now."""
        return not_among(files, set(self.noted()))

    def note(self, files: list[LandedFile], limits: Limits) -> int:
        """Write files into chunks; returns how many chunks.

        Cut off between two chunks, the rest is new to the next call.
        """
        self._filesystem.makedirs(self._folder, exist_ok=True)
        place = len(self._names())
        chunks = list(_chunked(files, limits))
        for number, chunk in enumerate(chunks, start=place):
            self._write(chunk, f"{number:08}-{uuid.uuid4().hex}.json")
        return len(chunks)

    def has_pending(self) -> bool:
        """Whether a chunk was noted that is not known to be settled."""
        try:
            settled = int(self._filesystem.cat_file(self._settled))
        except (FileNotFoundError, ValueError):  # none yet, or one that was cut off while written
            settled = 0
        return len(self._names()) > settled

    def settle(self) -> None:
        """Note that all that follows from the chunks of now is done."""
        self._filesystem.pipe_file(self._settled, str(len(self._names())).encode())

    def stream(self, spark: "SparkSession", take: Callable[[list["Row"]], None]) -> None:
        """Let Spark's stream give each chunk that was not taken yet to a function.

        Args:
            spark: the session.
            take: is given a chunk's rows: path, bytes, modified_at, and of the chunk file_name,
                its key, and file_modification_time. It may be given a chunk a second time. What
                it raises ends the stream, and is raised here.
        """
        from pyspark.errors import StreamingQueryException

        raised: list[Exception] = []

        def take_each(batch: "DataFrame", number: int) -> None:
            # after a start that was cut off, Spark may give two chunks in one batch
            chunks: dict[str, list[Row]] = {}
            for row in batch.collect():
                chunks.setdefault(row["file_name"], []).append(row)
            try:
                for rows in chunks.values():
                    take(rows)
            except Exception as error:
                raised.append(error)
                raise

        query = (
            spark.readStream.schema(ARRIVAL)
            .option("maxFilesPerTrigger", 1)
            .json(self.chunks)
            .select("*", "_metadata.file_name", "_metadata.file_modification_time")
            .writeStream.trigger(availableNow=True)
            .option("checkpointLocation", self.checkpoint)
            .foreachBatch(take_each)
            .start()
        )
        try:
            query.awaitTermination()
        except StreamingQueryException:
            if not raised:
                raise
        if raised:  # of which Spark's own error has no more than the text
            raise raised[0]

    def _write(self, files: list[LandedFile], name: str) -> None:
        # in ASCII: a name need not be UTF-8, and its odd bytes are surrogates here
        lines = (json.dumps(file._asdict(), default=datetime.isoformat) for file in files)
        hidden = f"{self._folder}/_part-{name}"
        self._filesystem.pipe_file(hidden, "\n".join(lines).encode())
        self._filesystem.mv(hidden, f"{self._folder}/{name}")

    def _names(self) -> list[str]:
        if not self._filesystem.exists(self._folder):
            return []
        self._filesystem.invalidate_cache(self._folder)
        names = (PurePosixPath(path).name for path in self._filesystem.ls(self._folder, False))
        return sorted(name for name in names if not name.startswith(("_", ".")))


@cache
def _files_of_chunk(filesystem: fsspec.AbstractFileSystem, path: str) -> list[tuple]:
    """Read once: a chunk never changes, and what keeps looking asks for all of them each time."""
    return list(_files_in(filesystem.cat_file(path)))


def _files_in(lines: bytes) -> Iterator[tuple]:
    for line in lines.splitlines():
        file = json.loads(line)
        changed = datetime.fromisoformat(file["modified_at"]).astimezone(UTC)
        yield file["path"], file["bytes"], changed


def not_among(files: Iterable[LandedFile], noted: set[tuple]) -> list[LandedFile]:
    """Those files that were not noted as they are now."""
    return [file for file in files if tuple(file) not in noted]


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

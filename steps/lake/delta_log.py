"""What a version of a Delta table is made of, read from its log and its files without Spark."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.dataset import Expression

from steps.errors import UserError
from steps.lake.schema import require_known

COMMIT = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d+\.\d+)?\.parquet")

PLAIN_READER = 1
"""The protocol version in which the rows of a table are those of its files. Later ones may delete
rows by a bitmap or give columns other names."""


@dataclass
class Snapshot:
    """A version of a table.

    Attributes:
        version: its number.
        files: sizes by path below the table.
        id: Delta's ID of the table.
        columns: their names.
        properties: of the table.
        reader: the protocol version that a reader has to know.
        features: what else it has to know, by name.
        transactions: the names under which rows were committed once.
    """

    version: int
    files: dict[str, int] = field(default_factory=dict)
    table_id: str | None = None
    columns: frozenset[str] = frozenset()
    properties: dict[str, str] = field(default_factory=dict)
    reader: int = PLAIN_READER
    features: tuple[str, ...] = ()
    transactions: set[str] = field(default_factory=set)

    @property
    def plain_files(self) -> tuple[str, ...]:
        """The files, if their rows are the table's; none if only Spark can read them."""
        return tuple(self.files) if self.reader <= PLAIN_READER else ()

    def apply(self, action: dict[str, Any]) -> None:
        """Apply an action of the log, in its order."""
        if remove := action.get("remove"):
            self.files.pop(unquote(remove["path"]), None)
        if add := action.get("add"):
            self.files[unquote(add["path"])] = add["size"]
        if metadata := action.get("metaData"):
            self.table_id = metadata["id"]
            fields = json.loads(metadata["schemaString"])["fields"]
            self.columns = frozenset(field["name"] for field in fields)
            self.properties = dict(metadata.get("configuration") or ())
        if transaction := action.get("txn"):
            self.transactions.add(transaction["appId"])
        if protocol := action.get("protocol"):
            self.reader = protocol["minReaderVersion"]
            named = protocol.get("readerFeatures")
            self.features = tuple(named or ["columnMapping"] * (self.reader > PLAIN_READER))


class DeltaLog:
    """A table's log, listed once, when it is created; and the files that are there.

    Args:
        table: folder or URI.
    """

    def __init__(self, table: str):
        self.table = table
        self._filesystem, self._root = fsspec.core.url_to_fs(table)
        folder = f"{self._root}/_delta_log"
        self._filesystem.invalidate_cache(folder)  # and those above it, not those below
        found = self._filesystem.ls(folder, False) if self._filesystem.exists(folder) else []
        self._log = {path.rpartition("/")[2] for path in found}
        self.versions = sorted(int(match[1]) for match in map(COMMIT.fullmatch, self._log) if match)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        found = self._filesystem.find(self._root, detail=True)
        return {path[len(self._root) :].lstrip("/"): i["size"] for path, i in found.items()}

    def read(self, version: int, earlier: Snapshot | None = None) -> Snapshot:
        """Return one of the versions.

        Args:
            version: its number.
            earlier: one that was read before; it becomes this one, so that only the commits
                between them are read, unless the log no longer has all of these.

        Raises:
            UserError: a later version of the project wrote the table.
        """
        snapshot = self.replay(version, earlier)
        require_known(self.table, snapshot.properties)
        return snapshot

    def replay(self, version: int, earlier: Snapshot | None = None) -> Snapshot:
        """Return one of the versions, also of a later schema."""
        if earlier and set(range(earlier.version + 1, version + 1)) <= set(self.versions):
            return self._apply_commits(earlier, earlier.version, version)
        checkpoints = [match for name in self._log if (match := CHECKPOINT.fullmatch(name))]
        start = max((int(m[1]) for m in checkpoints if int(m[1]) <= version), default=-1)
        snapshot = Snapshot(version)
        for match in checkpoints:
            if int(match[1]) == start:
                for action in _read_checkpoint(self._filesystem, self._path(match[0])):
                    snapshot.apply(action)
        return self._apply_commits(snapshot, start, version)

    def _apply_commits(self, snapshot: Snapshot, start: int, version: int) -> Snapshot:
        for commit in self.versions:
            if start < commit <= version:
                content = self._filesystem.cat_file(self._path(f"{commit:020}.json"))
                for line in content.splitlines():
                    snapshot.apply(json.loads(line))
        snapshot.version = version  # last: what fails before is applied again, to the same end
        return snapshot

    def files_beside(self, snapshot: Snapshot) -> list[str]:
        """Return the Parquet files below the table that a version does not have."""
        return [
            name
            for name in self._sizes
            if name.endswith(".parquet")
            and not name.startswith("_delta_log/")
            and name not in snapshot.files
        ]

    def read_plain(self) -> Snapshot:
        """Return the newest version of a table that there is.

        Raises:
            UserError: its rows are not those of its files, so that only Spark can read it.
        """
        snapshot = self.read(self.versions[-1])
        if snapshot.reader > PLAIN_READER:
            raise UserError(
                f"{self.table} uses {', '.join(snapshot.features)}, which only Spark reads: copy "
                "its rows into a plain table (docs/label-images.md#a-table-that-only-spark-reads)"
            )
        return snapshot

    def messages(self, most: int) -> list[dict[str, Any]]:
        """Return the messages of the newest versions that have one: ``at`` (ms since 1970), text.

        Args:
            most: versions that are read.
        """
        found = []
        for version in self.versions[-most:]:
            for line in self._filesystem.cat_file(self._path(f"{version:020}.json")).splitlines():
                commit = json.loads(line).get("commitInfo") or {}
                if message := commit.get("userMetadata"):
                    found.append({"at": commit["timestamp"], "text": message})
        return found

    def broken_files_error(self, snapshot: Snapshot) -> str | None:
        """Return how many files of a version are gone or of another size; None if none is."""
        sizes, files = self._sizes, snapshot.files
        broken = [name for name, size in files.items() if sizes.get(name) != size]
        if not broken:
            return None
        how = "another size" if broken[0] in sizes else "gone"
        return f"of the {len(files)} files of version {snapshot.version}, {len(broken)} are {how}"

    def read_rows(
        self,
        files: Iterable[str],
        schema: pa.Schema,
        where: Expression,
        few: bool = False,
    ) -> pa.Table:
        """Return columns of data files of a table that a plain reader can read.

        Args:
            files: paths below the table.
            schema: the columns; those that a file lacks are null.
            where: which rows.
            few: read what the condition asks for first, and then only the row groups that have
                such rows: for long columns.
        """
        if few:
            found = read_by_row_group(self.table, files, schema, where)
            return pa.concat_tables([schema.empty_table(), *found])
        return _open_files(self.table, files, schema).to_table(filter=where)

    def _path(self, name: str) -> str:
        return f"{self._root}/_delta_log/{name}"


def read_by_row_group(
    table: str,
    files: Iterable[str],
    schema: pa.Schema,
    where: Expression,
    share: int = 0,
    shares: int = 1,
) -> Iterator[pa.Table]:
    """Yield the rows of each row group that has some; of the others, no long column is read.

    Args:
        table: folder or URI.
        files, schema, where: as for :meth:`DeltaLog.read_rows`.
        share, shares: one in so many row groups, from this one on.
    """
    rows = _open_files(table, files, schema)
    fragments = rows.get_fragments()
    groups = (group for one in fragments for group in one.split_by_row_group(where, schema))
    for group in islice(groups, share, None, shares):
        if group.count_rows(filter=where):
            yield group.to_table(schema=schema, filter=where)


def _open_files(table: str, files: Iterable[str], schema: pa.Schema) -> ds.Dataset:
    filesystem, root = fsspec.core.url_to_fs(table)
    options = ds.ParquetReadOptions(coerce_int96_timestamp_unit="us")  # Spark's older format
    parquet = ds.ParquetFileFormat(read_options=options)
    paths = [f"{root}/{file}" for file in files]
    return ds.dataset(paths, schema=schema, format=parquet, filesystem=filesystem)


def version_error(table: str, version: int, table_id: str) -> str | None:
    """Return why a version can no longer be read as it was, or None.

    Args:
        table: folder or URI.
        version: the Delta version.
        table_id: Delta's ID of the table; empty if unknown.

    Returns:
        a message if the table was created again, or if a file of the version is gone or of
        another size.
    """
    log = DeltaLog(table)
    if version not in log.versions:
        return f"version {version} of {table} is gone"
    snapshot = log.read(version)
    if table_id and snapshot.table_id != table_id:
        return f"{table} was created again"
    return log.broken_files_error(snapshot)


def _read_checkpoint(filesystem: Any, path: str) -> list[dict[str, Any]]:
    columns = ["add.path", "add.size", "txn.appId"]
    columns += ["metaData.id", "metaData.schemaString", "metaData.configuration"]
    columns += ["protocol.minReaderVersion", "protocol.readerFeatures"]
    with filesystem.open(path, "rb") as file:
        rows = pq.ParquetFile(file).read(columns=columns).to_pylist()
    # the columns of all other kinds of action are null, or structs of nulls
    return [
        {kind: row[kind] for kind in row if row[kind] and any(row[kind].values())} for row in rows
    ]

"""How a Delta table is created without Spark, by the first version of its log.

Spark takes a second for each, and longer until it is warm. Nobody else can have rows there yet.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from steps.atomic import create_atomically, make_folder, write_atomically
from steps.errors import UserError

SIMPLE = {
    "BIGINT": LongType(),
    "BINARY": BinaryType(),
    "BOOLEAN": BooleanType(),
    "DATE": DateType(),
    "DOUBLE": DoubleType(),
    "INT": IntegerType(),
    "STRING": StringType(),
    "TIMESTAMP": TimestampType(),
}

FIRST = f"{0:020}"


def split_columns(columns: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the type of each column.

    >>> list(split_columns("path STRING, scores MAP<STRING, DOUBLE>"))
    [('path', 'STRING'), ('scores', 'MAP<STRING, DOUBLE>')]
    """
    for column in _split(columns):
        name, type_ = re.split(r":?\s+", column.strip(), maxsplit=1)
        yield name, type_


def parse_columns(columns: str) -> StructType:
    """Return the schema that Spark's DDL says; Spark's own parser needs a JVM."""
    return StructType([StructField(name, _parse(type_)) for name, type_ in split_columns(columns)])


def _split(text: str) -> Iterator[str]:
    """Yield the parts between those commas that are not within < and >."""
    start = depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _parse(type_: str) -> DataType:
    kind, _, rest = type_.partition("<")
    inner = rest[:-1]
    if kind == "ARRAY":
        return ArrayType(_parse(inner))
    if kind == "MAP":
        key, value = _split(inner)
        return MapType(_parse(key), _parse(value.strip()))
    return parse_columns(inner) if kind == "STRUCT" else SIMPLE[kind]


def create_table(
    path: str, schema: StructType, partitioned_by: tuple[str, ...], properties: dict[str, str]
) -> None:
    """Create a table unless there is one; of two that do so at once, one does.

    Args:
        path: folder or URI.
        schema: of its rows.
        partitioned_by: the partition columns.
        properties: of the table.

    Raises:
        UserError: the folder holds files of no table.
    """
    log = f"{path}/_delta_log"
    holds = _names(path)  # before the log, which is there before any rows
    if any(name.endswith((".json", ".parquet")) for name in _names(log)):
        return
    if holds - {"_delta_log"}:
        raise UserError(f"{path} has files and no Delta log: restore {log}, or move them away")
    now = round(time.time() * 1000)
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.json(),
        "partitionColumns": list(partitioned_by),
        "configuration": properties,
        "createdTime": now,
    }
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    parameters = {
        "partitionBy": json.dumps(partitioned_by),
        "properties": json.dumps(properties),
    }
    commit: dict[str, Any] = {"timestamp": now, "operation": "CREATE TABLE"}
    commit |= {"operationParameters": parameters, "isBlindAppend": True, "operationMetrics": {}}
    actions = [{"commitInfo": commit}, {"metaData": metadata}, {"protocol": protocol}]
    make_folder(log)
    if create_atomically(f"{log}/{FIRST}.json", "\n".join(map(json.dumps, actions)).encode()):
        # with this summary of the version, Spark need not read the log by a query
        counts = {"tableSizeBytes": 0, "numFiles": 0, "numMetadata": 1, "numProtocol": 1}
        lists: dict[str, list[Any]] = {"setTransactions": [], "domainMetadata": [], "allFiles": []}
        summary = counts | lists | {"metadata": metadata, "protocol": protocol}
        write_atomically(f"{log}/{FIRST}.crc", json.dumps(summary).encode())


def _names(place: str) -> set[str]:
    filesystem, path = fsspec.core.url_to_fs(place)
    filesystem.invalidate_cache(path)
    if not filesystem.exists(path):
        return set()
    return {found.rstrip("/").rpartition("/")[2] for found in filesystem.ls(path, False)}

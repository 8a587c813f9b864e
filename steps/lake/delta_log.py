"""Which data files a version of a Delta table is made of, read from its log without Spark."""

import json
import re
from typing import Any
from urllib.parse import unquote

import fsspec

COMMIT = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d+\.\d+)?\.parquet")


def missing_files_error(table: str, version: int, table_id: str) -> str | None:
    """Return why a version can no longer be read as it was, or None.

    Args:
        table: folder or URI.
        version: the Delta version.
        table_id: Delta's ID of the table; empty if unknown.

    Returns:
        a message if the table was created again, or if a file of the version is gone or of
        another size.
    """
    filesystem, root = fsspec.core.url_to_fs(table)
    filesystem.invalidate_cache(root)
    sizes = {
        path[len(root) :].lstrip("/"): info["size"]
        for path, info in filesystem.find(root, detail=True).items()
    }
    log = {name.removeprefix("_delta_log/") for name in sizes if name.startswith("_delta_log/")}
    if f"{version:020}.json" not in log:
        return f"version {version} of {table} is gone"
    files, id_ = _read_log(filesystem, f"{root}/_delta_log", log, version)
    if table_id and id_ != table_id:
        return f"{table} was created again"
    broken = [name for name, size in files.items() if sizes.get(name) != size]
    if not broken:
        return None
    how = "another size" if broken[0] in sizes else "gone"
    return f"of the {len(files)} files of version {version}, {len(broken)} are {how}"


def _read_log(
    filesystem: Any, folder: str, log: set[str], version: int
) -> tuple[dict[str, int], str | None]:
    """Return sizes by path below the table, and the table's ID."""
    checkpoints = [match for name in log if (match := CHECKPOINT.fullmatch(name))]
    start = max((int(match[1]) for match in checkpoints if int(match[1]) <= version), default=-1)
    files: dict[str, int] = {}
    id_ = None
    for match in checkpoints:
        if int(match[1]) == start:
            part, part_id = _read_checkpoint(filesystem, f"{folder}/{match[0]}")
            files |= part
            id_ = part_id or id_
    commits = sorted(name for name in log if COMMIT.fullmatch(name))
    for name in commits:
        if start < int(name[:20]) <= version:
            for line in filesystem.cat_file(f"{folder}/{name}").splitlines():
                action = json.loads(line)
                if "remove" in action:
                    files.pop(unquote(action["remove"]["path"]), None)
                if "add" in action:
                    files[unquote(action["add"]["path"])] = action["add"]["size"]
                if "metaData" in action:
                    id_ = action["metaData"]["id"]
    return files, id_


def _read_checkpoint(filesystem: Any, path: str) -> tuple[dict[str, int], str | None]:
    import pyarrow.parquet as pq

    with filesystem.open(path, "rb") as file:
        rows = pq.ParquetFile(file).read(columns=["add.path", "add.size", "metaData.id"])
    added, metadata = rows["add"].to_pylist(), rows["metaData"].to_pylist()
    files = {unquote(add["path"]): add["size"] for add in added if add and add["path"]}
    return files, next((one["id"] for one in metadata if one and one["id"]), None)

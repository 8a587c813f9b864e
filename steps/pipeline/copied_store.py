"""A SQLite store that was copied or moved with its checkout: its runs follow it."""

import logging
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from steps.atomic import write_atomically

PLACES = (
    *(("experiments", "artifact_location"), ("runs", "artifact_uri")),
    *(("logged_models", "artifact_location"), ("model_versions", "source")),
    *(("model_versions", "storage_location"), ("model_version_tags", "value")),
)
"""Tables of MLflow's schema (3.17), and their columns that hold absolute places."""

LOCKED_SECONDS = 60.0

logger = logging.getLogger("steps")


def follow_copied_store(uri: str) -> None:
    """Let a store's runs name the artifacts beside the store, if both came from another folder.

    MLflow keeps absolute paths. In a copy of a checkout they lead into the original: new runs
    would write there, and old ones would be gone with it.
    """
    file = Path(uri.removeprefix("sqlite:///"))
    here = file.parent / "mlruns"
    if not uri.startswith("sqlite:///") or not file.is_file() or not here.is_dir():
        return
    with (
        suppress(sqlite3.OperationalError),  # it is locked: MLflow's client says so next
        closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as store,
        store,
    ):
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        if "experiments" not in tables:
            return
        root = store.execute("SELECT artifact_location FROM experiments ORDER BY experiment_id")
        before, _, _ = str((root.fetchone() or ("",))[0]).rpartition("/mlruns/")
        if not before or before == str(file.parent) or not _holds_runs(store, here, before):
            return
        for table, column in PLACES:
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 – from above
                f"WHERE substr({column}, 1, ?) = ?",
                (str(file.parent), len(before) + 1, len(before) + 1, f"{before}/"),
            )
        _move_outputs(here, before)


def _move_outputs(here: Path, before: str) -> None:
    """Let the outputs of the runs name the tables and caches of the copy."""
    for outputs in here.glob("*/*/artifacts/outputs.json"):
        text = outputs.read_text(encoding="utf-8")
        moved = text.replace(f'"{before}/', f'"{here.parent}/')
        if moved != text:
            write_atomically(str(outputs), moved.encode())
    logger.info("the runs of %s, of which this is a copy, are now read from %s", before, here)


def _holds_runs(store: sqlite3.Connection, here: Path, before: str) -> bool:
    """Return whether the folder beside the store has artifacts of its runs."""
    newest = "SELECT artifact_uri FROM runs ORDER BY start_time DESC LIMIT 100"
    prefix = f"{before}/mlruns/"
    places = [str(uri) for (uri,) in store.execute(newest) if str(uri).startswith(prefix)]
    return any((here / place.removeprefix(prefix)).is_dir() for place in places)

"""What is recorded for the replay of power cuts, and the start of the real program afterwards.

python -m benchmarks.crash_subjects SUBJECT FOLDER

Each subject works below a folder with the project's own code, and acknowledges what it has done.
Its start runs what the real program runs at its start, in this process, and returns what is wrong.
"""

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path
# the tests' tiny network, camera and clock
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "edge"))

import edge.update.updater as updater_module
import steps.lake.lease as lease_module
from benchmarks.crash_lake import Checkpoints, Keys, Labels, Ledger
from benchmarks.crash_outbox import Outbox
from benchmarks.crash_outcome import Outcome
from benchmarks.crash_recorder import calling_code, name_sites, note_site
from benchmarks.crash_update import Update
from edge.inference.errors import UserError as DeviceError
from edge.outbox.database import Database
from edge.update.self_test import run_self_test
from steps.errors import UserError

SUBJECTS = {
    "update": Update(),
    "outbox": Outbox(),
    "labels": Labels(),
    "ledger": Ledger(),
    "checkpoints": Checkpoints(),
    "keys": Keys(),
}


def start(subject: str, folder: Path, acknowledged: list[str]) -> Outcome:
    """Start on a state; an error that ends the start needs a hand."""
    # the same self-test, without the second that its own process takes
    updater_module.self_test_apart = run_self_test
    lease_module.WRITTEN_SECONDS = 0  # nobody else writes it
    logging.disable()
    try:
        return SUBJECTS[subject].start(folder, acknowledged)
    except (DeviceError, UserError, Exception) as error:
        return Outcome.of(needs_a_hand=[f"{type(error).__name__}: {error}"])
    finally:
        logging.disable(logging.NOTSET)


def _note_durable_transactions() -> None:
    """SQLite syncs by itself, so a note says for which transaction."""
    plain = Database.transaction

    def transaction(self: Database, durable: bool = False) -> Any:
        note_site(f"sqlite durable {calling_code()}" if durable else "sqlite itself")
        return plain(self, durable)

    Database.transaction = transaction


def main(subject: str, folder: str) -> None:
    """Work as a subject does, with notes for the recorder."""
    shutil._USE_CP_SENDFILE = False  # else no bytes are seen
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    updater_module.self_test_apart = run_self_test
    logging.disable(logging.WARNING)
    name_sites()
    _note_durable_transactions()
    SUBJECTS[subject].work(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

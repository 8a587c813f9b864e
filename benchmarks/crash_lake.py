"""What is recorded of the lake and of training for the replay of power cuts: see crash_subjects."""

import shutil
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.crash_outcome import Outcome
from benchmarks.crash_recorder import acknowledge
from steps.dataset.cache_eviction import CHECKPOINTS
from steps.ingestion.label_rows import LabelRow
from steps.labelling import commits
from steps.labelling.journal import Journal
from steps.lake.lease import lease
from steps.landing import arrivals
from steps.landing.listing import LandedFile
from steps.pipeline.outputs import Selection
from steps.release.keys import public_keys
from steps.training import checkpoints
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.plan import Plan

LATER = datetime(2026, 7, 20, tzinfo=UTC)

NOTED = 500
"""Added to the numbers of files whose rows were in the table already."""


class Labels:
    """Label in two sittings, the first of which ends with its labels in the table."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        folder.mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        first = self._sitting(folder, range(60))
        commits.spark_session = lambda profile, name: nullcontext()
        commits.add_labels = lambda spark, profile, rows, message: _write_as_spark(folder, rows)
        commits.Commits(SimpleNamespace(), first).finish()
        first.close()
        second = self._sitting(folder, range(60, 130))
        acknowledge(ERASES)
        second.remove({label.sha256 for label in ERASED})
        acknowledge(ERASED_ALL)
        second.close()

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        journal = Journal(folder / "lake" / "labelling")
        journal.close()
        ids = Counter(row.id for row in journal.rows)
        erased = {label.id for label in ERASED}
        gone = {ERASES, ERASED_ALL, *(erased if ERASES in acknowledged else ())}
        back = erased & set(ids) if ERASED_ALL in acknowledged else ()
        return Outcome.of(
            lost=sorted(set(acknowledged) - gone - set(ids) - _read_table(folder)),
            doubled=[id for id, count in ids.items() if count > 1],
            needs_a_hand=[f"the erased label {id} came back" for id in back],
        )

    def _sitting(self, folder: Path, numbers: range) -> Journal:
        journal = Journal(folder / "lake" / "labelling")
        for first in range(numbers.start, numbers.stop, 30):
            rows = [_label(n) for n in range(first, min(first + 30, numbers.stop))]
            journal.append(rows)
            for row in rows:
                acknowledge(row.id)
        return journal


def _write_as_spark(folder: Path, rows: list[Any]) -> int:
    """Stand in for a commit of Spark, which is a file that nothing syncs."""
    (folder / "table").write_text("".join(f"{row[0]}\n" for row in rows))
    return len(rows)


def _read_table(folder: Path) -> set[str]:
    table = folder / "table"
    return set(table.read_text().splitlines()) if table.exists() else set()


def _label(number: int) -> LabelRow:
    return LabelRow(f"{number:032x}", f"{number:064x}", "1", "me", "key", LATER)


ERASED = [_label(number) for number in range(60, 65)]
ERASES, ERASED_ALL = "erases", "erased"


class Ledger:
    """Record the files of a landing zone in chunks, and mark them done."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        folder.mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        ledger = self._ledger(folder)
        for end in (30, 60, 90):
            with lease(ledger.home, f"run {end}"):
                ledger.belong_to("table")
                new = ledger.select_new(map(_landed, range(end)))
                ledger.record(new, arrivals.Limits(20, 1 << 40))
                ledger.note([_landed(end + NOTED)])
                for number in (*range(end), end + NOTED):
                    acknowledge(_landed(number).path)
                _write_as_spark(folder, list(ledger.recorded()))
                ledger.mark_done()

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        arrivals._read_chunk.cache_clear()
        ledger, found = self._ledger(folder), Outcome.of()
        shutil.copytree(folder, other := folder.with_name("another"), dirs_exist_ok=True)
        self._ledger(other).belong_to("another table")
        if acknowledged and self._ledger(other).exists():
            found.lost.append("which table the files went into: another one would not get them")
        with lease(ledger.home, "run after the cut"):
            ledger.belong_to("table")
        here = Counter(file.path for file in ledger.recorded())
        found.lost += sorted(set(acknowledged) - set(here))
        found.doubled += [path for path, count in here.items() if count > 1]
        if not ledger.has_pending() and (missing := set(here) - _read_table(folder)):
            found.lost.append(f"{len(missing)} rows, and their chunks count as done")
        ledger.record([_landed(1000)], arrivals.Limits(20, 1 << 40))
        if not ledger.has_pending():
            found.lost.append("a new chunk would never be processed")
        return found

    def _ledger(self, folder: Path) -> arrivals.Arrivals:
        profile: Any = SimpleNamespace(lake=str(folder / "lake"))
        return arrivals.Arrivals(profile, "/landing")


def _landed(number: int) -> LandedFile:
    return LandedFile(f"/landing/{'x' * 200}-{number}.jpg", 1000 + number, LATER)


class Checkpoints:
    """Save the state of a training after each of four epochs."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        folder.mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        for epoch in range(1, 5):
            weights = [np.full(3000, epoch, np.float32)]
            result = FitResult(weights, [{"loss": 1.0}] * epoch)
            place = f"{folder}/cache/{CHECKPOINTS}/run"
            checkpoints.save_checkpoint(place, self._fingerprint(), Checkpoint(result, weights))
            acknowledge(str(epoch))

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        checkpoints.resumed_by = lambda run_id: ()  # asks MLflow
        profile: Any = SimpleNamespace(cache=f"{folder}/cache")
        last = int(acknowledged[-1]) if acknowledged else 0
        epoch = 0
        if checkpoints.has_checkpoint("run", profile):
            loaded = checkpoints.load_checkpoint(profile, "run", self._fingerprint())
            epoch = len(loaded.result.epochs)
            assert np.all(loaded.result.weights[0] == epoch)
        lost = [f"epoch {last}, the newest is {epoch}"] if epoch < last else []
        return Outcome.of(lost=lost)

    def _fingerprint(self) -> checkpoints.TrainingFingerprint:
        selection = Selection(
            table="images",
            version=1,
            source="s",
            input_size=(64, 48),
            block_minutes=60,
            guard_minutes=0,
            split_seed=1,
        )
        return checkpoints.TrainingFingerprint(Plan(), selection, 1)


class Keys:
    """Make the key that signs releases."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        folder.mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        acknowledge(public_keys(f"{folder}/data/release.pem")[0])

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        found = public_keys(f"{folder}/data/release.pem")
        return Outcome.of(lost=[key for key in acknowledged if key not in found])

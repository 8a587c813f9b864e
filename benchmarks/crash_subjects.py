"""What is recorded for the replay of power cuts, and the start of the real program afterwards.

python -m benchmarks.crash_subjects SUBJECT FOLDER

Each subject works below a folder with the project's own code, and acknowledges what it has done.
Its start runs what the real program runs at its start, in this process, and returns what is wrong.
"""

import base64
import io
import json
import logging
import os
import shutil
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path
# the tests' tiny network, camera and clock
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "edge"))

from agent_fakes import FakeClock, agent_of, send_all
from PIL import Image
from release_server import KEY, PUBLIC_KEY
from tiny_model import statement, write_model, write_reference_images

import edge.update.updater as updater_module
import steps.lake.lease as lease_module
from benchmarks.crash_recorder import acknowledge, calling_code, name_sites, note_site
from edge.agent.frame_marker import FrameMarker
from edge.cameras.camera import Frame
from edge.inference.errors import UserError as DeviceError
from edge.outbox.database import Database
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.protocol.release import Release, ReleasedFile
from edge.protocol.signature import pinned_keys, signed_content
from edge.update.current import CurrentModel, NoModelError
from edge.update.self_test import run_self_test
from edge.update.updater import Updater
from steps.dataset.cache_eviction import CHECKPOINTS
from steps.errors import UserError
from steps.ingestion.label_rows import LabelRow
from steps.labelling import commits
from steps.labelling.journal import Journal
from steps.lake.lease import lease
from steps.landing import arrivals
from steps.landing.zone import LandedFile
from steps.pipeline.outputs import Selection
from steps.release.keys import public_keys
from steps.training import checkpoints
from steps.training.fit_result import Checkpoint, FitResult
from steps.training.plan import Plan

MODEL = "brightness"
LATER = datetime(2026, 7, 20, tzinfo=UTC)


@dataclass
class Outcome:
    """What a start on one state found wrong; the texts say what."""

    lost: list[str]
    doubled: list[str]
    without_model: list[str]
    needs_a_hand: list[str]

    @classmethod
    def of(cls, **found: list[str]) -> "Outcome":
        """Return an outcome with some faults."""
        names = ("lost", "doubled", "without_model", "needs_a_hand")
        return cls(**{name: found.get(name, []) for name in names})

    @property
    def faults(self) -> dict[str, list[str]]:
        """The kinds of faults that were found."""
        return {name: texts for name, texts in vars(self).items() if texts}


class Update:
    """Install, confirm, roll back and repair releases; the first one pins the key."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        for number in (1, 2, 3):
            made = folder.parent / "releases" / str(number)
            if not made.exists():
                write_reference_images(write_model(made, steepness=0.02 * number))
                (made / "more.bin").write_bytes(np.random.default_rng(number).bytes(9000))

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        for number in (1, 2):
            self._install(folder, number)
        failing = self._updater(folder, 3)
        failing.check()
        failing.probation.rollback("as it should")
        self._install(folder, 4)
        (folder / MODEL / "release-4" / "more.bin").write_bytes(b"damaged")
        self._updater(folder, 4).check()  # repairs it
        with FrameMarker(folder / MODEL / "scoring.json").scoring("release-4", "0" * 64):
            pass

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        numbers = [int(text) for text in acknowledged]
        updater = self._updater(folder, 5)
        home, found = updater.home, Outcome.of()
        try:
            FrameMarker(folder / MODEL / "scoring.json")
            updater.probation.recover()
            CurrentModel(home.folder, threads=1)
        except NoModelError as error:
            if numbers:
                found.without_model.append(str(error))
        highest = max(home.state.highest_release, getattr(home.active_release(), "release", 0))
        if numbers and highest < max(numbers):
            found.lost.append(f"release {max(numbers)} was in use, the state knows {highest}")
        if numbers and pinned_keys(None, folder) != [PUBLIC_KEY]:
            found.lost.append("the pinned key")
        installed = updater.check()
        if not installed or CurrentModel(home.folder, threads=1).release != 5:
            found.needs_a_hand.append(f"no further release: {updater.refusal}")
        return found

    def _install(self, folder: Path, number: int) -> None:
        updater = self._updater(folder, number)
        updater.probation.recover()
        updater.check()
        CurrentModel(updater.home.folder, threads=1)
        updater.probation.commit()
        acknowledge(str(number))

    def _updater(self, folder: Path, number: int) -> Updater:
        registry: Any = Registry(folder.parent / "releases" / str((number - 1) % 3 + 1), number)
        return Updater(registry, MODEL, "champion", folder, threads=1, reserve=0)


class Registry:
    """A registry that is a folder with one signed release."""

    def __init__(self, folder: Path, number: int):
        self._folder, self._number = folder, number

    def release(self, model: str, alias: str) -> Release:
        """Return the release."""
        stated = statement(self._folder, MODEL, str(self._number), self._number)
        signature = base64.b64encode(KEY.sign(signed_content(stated))).decode()
        return Release.parse(json.dumps(stated | {"signatures": {PUBLIC_KEY: signature}}))

    def releases(self, model: str, alias: str, device: str) -> list[Release]:
        """Return the release that a device may install."""
        return [self.release(model, alias)]

    def download(self, release: Release, file: ReleasedFile, to: Path) -> int:
        """Write a file, or the rest of it."""
        content = (self._folder / file.name).read_bytes()
        begin = to.stat().st_size if to.exists() else 0
        with to.open("ab") as part:
            part.write(content[begin:])
        return len(content) - begin


class Outbox:
    """Keep images and scores, date them after the clock is set, and send all, over two starts."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        (folder / "landing").mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        self._session(folder, range(1, 5), FakeClock())
        self._session(folder, range(5, 9), FakeClock(LATER, "second", is_set=False))

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        clock = FakeClock(LATER, "third")
        agent = agent_of(folder, clock)
        try:
            for _ in range(3):
                send_all(agent)
                clock.advance(3600)
        finally:
            agent.parts.store.close()
        found = Outcome.of()
        if agent.sender.failure or agent.parts.queue.failure or agent.parts.results.failure:
            found.needs_a_hand.append(str(agent.sender.failure or agent.parts.queue.failure))
        self._compare(folder / "landing", acknowledged, found)
        return found

    def _session(self, folder: Path, numbers: range, clock: FakeClock) -> None:
        agent = agent_of(folder, clock)
        parts, next_batch = agent.parts, agent.parts.results.next

        def next_acknowledged(allow_partial: bool) -> Any:
            if batch := next_batch(allow_partial):
                for line in batch.content.splitlines():
                    acknowledge(f"score {json.loads(line)['score']}")
            return batch

        parts.results.next = next_acknowledged
        for number in numbers:
            moment = clock.now()
            id = parts.queue.keep(_frame(number), "imx708", Reason.MOTION, moment)
            acknowledge(f"image {number}")
            result = Result("m", "1", "1", number / 100, {"1": number / 100}, 1.0)
            parts.results.add(result, moment, id)
            clock.advance(5)
            if number % 3 == 0:
                send_all(agent)
        clock.set_to(LATER)
        for _ in range(2):
            send_all(agent)
            clock.advance(3600)
        parts.store.close()

    def _compare(self, landing: Path, acknowledged: list[str], found: Outcome) -> None:
        here: Counter[str] = Counter()
        for path in landing.rglob("*.jpg"):
            if not path.name.startswith("."):
                with Image.open(io.BytesIO(path.read_bytes())) as image:
                    here[f"image {round(float(np.mean(np.array(image))) / 10)}"] += 1
        for path in landing.rglob("results/*/*.jsonl"):
            if not path.name.startswith("."):
                here.update(
                    f"score {json.loads(line)['score']}" for line in path.read_text().splitlines()
                )
        for path in landing.glob("status/*.json"):
            json.loads(path.read_text())
        found.lost += sorted(set(acknowledged) - set(here))
        found.doubled += [name for name, count in here.items() if count > 1]


def _frame(number: int) -> Frame:
    noise = np.random.default_rng(number).integers(-9, 10, (112, 112, 3))
    return Frame((noise + 10 * number).clip(0, 255).astype(np.uint8), LATER)


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
        self._sitting(folder, range(60, 130)).close()

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        journal = Journal(folder / "lake" / "labelling")
        journal.close()
        ids = Counter(row.id for row in journal.rows)
        lost = set(acknowledged) - set(ids) - _read_table(folder)
        return Outcome.of(lost=sorted(lost), doubled=[id for id, count in ids.items() if count > 1])

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
                for number in range(end):
                    acknowledge(_landed(number).path)
                _write_as_spark(folder, list(ledger.recorded()))
                ledger.mark_done()

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        arrivals._read_chunk.cache_clear()
        ledger, found = self._ledger(folder), Outcome.of()
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

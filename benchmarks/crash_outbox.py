"""What is recorded of a device's outbox for the replay of power cuts: see crash_subjects."""

import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from agent_fakes import FakeClock, agent_of, send_all
from PIL import Image

from benchmarks.crash_outcome import Outcome
from benchmarks.crash_recorder import acknowledge
from edge.cameras.camera import Frame
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.outbox.results import SENT_BATCHES, Batch
from edge.protocol.erased import ERASED, Erased, Rule

LATER = datetime(2026, 7, 20, tzinfo=UTC)

UNSEEN = 0.5
"""From here on, scores are of frames that are not kept as images."""

LAST = 9
"""The image that is erased."""


class Outbox:
    """Keep images and scores, date them after the clock is set, and send all, over two starts."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        (folder / "landing").mkdir(parents=True, exist_ok=True)

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        self._session(folder, range(1, 5), FakeClock())
        self._session(folder, range(5, 9), FakeClock(LATER, "second", is_set=False))
        self._erase(folder)

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        if ERASED in acknowledged:  # a list that is damaged since, or that this device may not read
            (folder / "landing" / ERASED).unlink(missing_ok=True)
        clock = FakeClock(LATER, "third")
        agent, found = agent_of(folder, clock), Outcome.of()
        sent = [int(text[5:]) for text in acknowledged if text.startswith("sent ")]
        known = int(agent.parts.store.stored_value(SENT_BATCHES) or 0)
        found.doubled += [f"results {number}, sent again" for number in sent if number > known]
        try:
            for _ in range(3):
                send_all(agent)
                clock.advance(3600)
        finally:
            agent.parts.store.close()
        if agent.sender.failure or agent.parts.queue.failure or agent.parts.results.failure:
            found.needs_a_hand.append(str(agent.sender.failure or agent.parts.queue.failure))
        self._compare(folder / "landing", acknowledged, found)
        return found

    def _session(self, folder: Path, numbers: range, clock: FakeClock) -> None:
        agent = agent_of(folder, clock)
        parts = agent.parts
        next_batch, mark_sent = parts.results.next, parts.results.mark_sent
        others = iter(UNSEEN + number / 100 for number in numbers[:2])

        def next_acknowledged(allow_partial: bool) -> Any:
            if clock.now().is_synced and (score := next(others, None)):  # scored while it sends
                parts.results.add(Result("m", "1", "0", score, {}, 1.0), clock.now())
            if batch := next_batch(allow_partial):
                for line in batch.content.splitlines():
                    acknowledge(f"score {json.loads(line)['score']}")
            return batch

        def mark_acknowledged(batch: Batch) -> None:
            mark_sent(batch)
            acknowledge(f"sent {batch.number}")

        parts.results.next, parts.results.mark_sent = next_acknowledged, mark_acknowledged
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

    def _erase(self, folder: Path) -> None:
        """Keep an image, and read that it is erased before it is sent."""
        clock = FakeClock(LATER + timedelta(days=1), "third")
        agent, moment = agent_of(folder, clock), clock.now()
        agent.parts.queue.keep(_frame(LAST), "imx708", Reason.MOTION, moment)
        clock.advance(5)
        rule = Rule(clock.now().wall_time.isoformat(), day=moment.wall_time.date().isoformat())
        (folder / "landing" / ERASED).write_text(Erased((rule,)).text())
        send_all(agent)
        acknowledge(ERASED)
        agent.parts.store.close()

    def _compare(self, landing: Path, acknowledged: list[str], found: Outcome) -> None:
        here: Counter[str] = Counter()
        for path in landing.rglob("*.jpg"):
            if not path.name.startswith("."):
                with Image.open(io.BytesIO(path.read_bytes())) as image:
                    here[f"image {round(float(np.mean(np.array(image))) / 10)}"] += 1
        for path in landing.rglob("results/*/*.jsonl"):
            if not path.name.startswith("."):
                scores = [json.loads(line) for line in path.read_text().splitlines()]
                here.update(f"score {score['score']}" for score in scores)
                named = {score["file_name"] for score in scores if score["score"] < UNSEEN}
                lost = [str(name) for name in named if not name or not (landing / name).exists()]
                found.lost += [f"the image {name} of a score" for name in lost]
        for path in landing.glob("status/*.json"):
            json.loads(path.read_text())
        due = {text for text in acknowledged if text.startswith(("image", "score"))}
        found.lost += sorted(due - {*here})
        if ERASED in acknowledged and f"image {LAST}" in here:
            found.needs_a_hand.append("an erased image is sent")
        found.doubled += [name for name, count in here.items() if count > 1]


def _frame(number: int) -> Frame:
    noise = np.random.default_rng(number).integers(-9, 10, (112, 112, 3))
    return Frame((noise + 10 * number).clip(0, 255).astype(np.uint8), LATER)

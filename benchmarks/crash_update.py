"""What is recorded of a device's updates for the replay of power cuts: see crash_subjects."""

import base64
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from release_server import KEY, PUBLIC_KEY
from tiny_model import statement, write_model, write_reference_images

import edge.update.updater as updater_module
from benchmarks.crash_outcome import Outcome
from benchmarks.crash_recorder import acknowledge
from edge.agent.frame_marker import FrameMarker
from edge.protocol.release import Release, ReleasedFile
from edge.protocol.signature import pinned_keys, signed_content
from edge.update.current import CurrentModel
from edge.update.errors import NoModelError
from edge.update.self_test import SelfTestResult, run_self_test
from edge.update.updater import Updater

MODELS, MODEL, ALIAS = "models", "brightness", "champion"
NEXT = 7
"""The release that comes after a power cut."""

KEPT = {"current", "update.json", "freshness.json", "scoring.json", f"release-{NEXT}"}
"""What a model's folder holds then, besides the release before."""


class Update:
    """Roll back, install, confirm and repair releases; the first one pins the key."""

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""
        for number in (1, 2, 3):
            made = folder.parent / "releases" / str(number)
            if not made.exists():
                write_reference_images(write_model(made, steepness=0.02 * number))
                (made / "more.bin").write_bytes(np.random.default_rng(number).bytes(9000))

    def work(self, folder: Path) -> None:
        """Do and acknowledge it, recorded."""
        folder = folder / MODELS
        self._roll_back(folder, 1)  # there is none before it
        self._check(folder, 2)  # and it confirms none before the next one
        self._install(folder, 3)
        self._repair(folder, 3)
        self._install(folder, 4)
        self._roll_back(folder, 5)
        self._install(folder, 6)
        self._renew(folder, 6)
        with FrameMarker(folder / MODEL / "scoring.json").scoring("release-6", "0" * 64):
            pass

    def start(self, folder: Path, acknowledged: list[str]) -> Outcome:
        """Start on a state and compare it with what was acknowledged."""
        folder = folder / MODELS
        updater, said, found = self._updater(folder, NEXT), Said(acknowledged), Outcome.of()
        self._compare_memory(updater, said, found)
        FrameMarker(folder / MODEL / "scoring.json")
        updater.probation.recover()
        self._load(updater, said, found)
        installed = updater.check()
        if not installed or CurrentModel(updater.home.folder, threads=1).release != NEXT:
            found.needs_a_hand.append(f"no further release: {updater.refusal}")
        previous = updater.home.state.previous
        if previous and int(previous.rpartition("-")[2]) not in said.numbers("scored"):
            found.needs_a_hand.append("the release to go back to has scored nothing")
        left = {path.name for path in updater.home.folder.iterdir()} - KEPT
        if left := left - {previous}:
            found.needs_a_hand.append(f"nothing removes {', '.join(left)}")
        return found

    def _compare_memory(self, updater: Updater, said: "Said", found: Outcome) -> None:
        """Compare what the device knows with what it must not forget."""
        state, active = updater.home.state, updater.home.active_release()
        if max(state.highest_release, active.release if active else 0) < said.highest("installed"):
            found.lost.append(f"release {said.highest('installed')} was in use")
        if said.highest("installed") and list(updater.keys) != [PUBLIC_KEY]:
            found.lost.append("the pinned key")
        known = updater.freshness
        if (known.issued if known else 0) < said.highest("fresh"):
            found.lost.append("the newest freshness statement")
        attempts = {failure.release: failure.final for failure in state.failures.values()}
        if said.last("tests", "tested") == "tests" and said.highest("tests") not in attempts:
            found.lost.append("the attempt at a release whose self-test ends the device")
        if any(not attempts.get(number) for number in said.numbers("failed")):
            found.lost.append("that a release failed")
        is_new = active and active.release not in said.numbers("scored")
        if is_new and not state.probation:
            found.needs_a_hand.append("a release that scored nothing counts as confirmed")

    def _load(self, updater: Updater, said: "Said", found: Outcome) -> None:
        """Load the model in use, which has to be there."""
        is_damaged = len(said.numbers("damaged")) > len(said.numbers("repaired"))
        events = ("installed", "scored", "committed", "rolls", "failed")
        is_due = bool(said.numbers("committed")) or said.last(*events) in events[:3]
        try:
            loaded = CurrentModel(updater.home.folder, threads=1)
        except NoModelError as error:
            if is_due and not is_damaged:
                found.without_model.append(str(error))
            return
        if loaded.fallback_reason and not is_damaged:
            found.lost.append(loaded.fallback_reason)
        if loaded.release in said.numbers("failed"):
            found.needs_a_hand.append("a release that failed is in use")

    def _check(self, folder: Path, number: int) -> Updater:
        updater = self._updater(folder, number)
        updater_module.self_test_apart = partial(_acknowledged_self_test, number)
        updater.probation.recover()
        updater.check()
        acknowledge(f"installed {number}")
        if known := updater.freshness:
            acknowledge(f"fresh {known.issued}")
        return updater

    def _install(self, folder: Path, number: int) -> None:
        updater = self._check(folder, number)
        CurrentModel(updater.home.folder, threads=1)
        acknowledge(f"scored {number}")
        updater.probation.commit()
        acknowledge(f"committed {number}")

    def _roll_back(self, folder: Path, number: int) -> None:
        updater = self._check(folder, number)
        acknowledge(f"rolls {number}")
        updater.probation.rollback("as it should")
        acknowledge(f"failed {number}")

    def _repair(self, folder: Path, number: int) -> None:
        acknowledge(f"damaged {number}")
        (folder / MODEL / f"release-{number}" / "more.bin").write_bytes(b"damaged")
        self._updater(folder, number).check()
        acknowledge(f"repaired {number}")

    def _renew(self, folder: Path, number: int) -> None:
        updater = self._updater(folder, number)
        updater.registry.issued += 5
        updater.check()
        acknowledge(f"fresh {updater.registry.issued}")

    def _updater(self, folder: Path, number: int) -> Updater:
        registry: Any = Registry(folder.parents[1] / "releases" / str((number - 1) % 3 + 1), number)
        keys = pinned_keys(None, folder)
        return Updater(registry, MODEL, ALIAS, folder, keys, threads=1, reserve=0)


def _acknowledged_self_test(number: int, folder: Path, threads: int) -> SelfTestResult:
    acknowledge(f"tests {number}")
    result = run_self_test(folder, threads)
    acknowledge(f"tested {number}")
    return result


class Said:
    """What was acknowledged: kinds and numbers, such as "installed 3"."""

    def __init__(self, acknowledged: list[str]):
        self._said = [(kind, int(number)) for kind, number in map(str.split, acknowledged)]

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of a kind."""
        return [number for said, number in self._said if said == kind]

    def highest(self, kind: str) -> int:
        """Return the highest number of a kind; 0 without one."""
        return max(self.numbers(kind), default=0)

    def last(self, *kinds: str) -> str | None:
        """Return which of some kinds was acknowledged last."""
        return next((kind for kind, _ in reversed(self._said) if kind in kinds), None)


class Registry:
    """A registry that is a folder with one signed release."""

    def __init__(self, folder: Path, number: int):
        self._folder, self._number, self.issued = folder, number, 10 * number

    def release(self, model: str, alias: str) -> Release:
        """Return the release, with its freshness statement."""
        number = self._number
        stated = statement(self._folder, MODEL, str(number), number)
        named = {"model": model, "alias": alias, "version": str(number), "release": number}
        fresh = named | {"issued": self.issued, "expires": 4_000_000_000}
        return replace(Release.parse(_signed(stated)), freshness=_signed(fresh))

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


def _signed(stated: dict[str, Any]) -> str:
    signature = base64.b64encode(KEY.sign(signed_content(stated))).decode()
    return json.dumps(stated | {"signatures": {PUBLIC_KEY: signature}})

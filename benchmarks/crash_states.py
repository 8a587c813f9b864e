"""Replays power cuts: what a disk may hold after one, and whether the real programs start on it.

python -m benchmarks.crash_states [--states 12000] [--mutations] [--subjects outbox …]

strace records every file operation of the device's update and outbox, of the journal of labels, the
ledger of ingest, the checkpoints of a training and the making of a key. After each operation the
power is cut, on two models of a file system (``benchmarks/crash_disk.py``). On each distinct state
the program's own start-up code runs, in this process, on a file system in memory.

``--mutations`` takes out each sync and each rename in turn, and requires that the proof then fails.
The last line is JSON.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.crash_disk import MODELS, Disk, Tree, digest, write_tree
from benchmarks.crash_mutations import NOTICED, REDUNDANT, UNNOTICED, Result, try_mutations
from benchmarks.crash_recorder import Operation, record
from benchmarks.crash_subjects import SUBJECTS, start

KINDS = ("lost", "doubled", "without_model", "needs_a_hand")
SHOWN = 6
"""Faults that are printed for each subject and model."""


class Recording(NamedTuple):
    """What a subject did below a folder."""

    subject: str
    folder: Path
    before: Path
    operations: list[Operation]


def record_subject(subject: str, scratch: Path) -> Recording:
    """Let a subject work in a process of its own, under strace."""
    folder = scratch / subject / "work"
    folder.mkdir(parents=True)
    SUBJECTS[subject].prepare(folder)
    before = scratch / subject / "before"
    shutil.copytree(folder, before, symlinks=True)
    command = [sys.executable, "-B", "-m", "benchmarks.crash_subjects", subject, str(folder)]
    return Recording(subject, folder, before, record(command, folder, scratch / subject))


def distinct_states(disk: Disk, seed: int, extra: int) -> Iterator[tuple[int, Tree]]:
    """Yield (cut, state), the cuts in random order, each state and its acknowledgements once."""
    random_, seen = random.Random(seed), set()
    cuts = list(range(disk.length + 1))
    random_.shuffle(cuts)
    for cut in cuts:
        acknowledged = len(disk.acknowledged(cut))
        for tree in disk.trees(cut, random_, extra):
            if (key := (digest(tree), acknowledged)) not in seen:
                seen.add(key)
                yield cut, tree


def replay(recording: Recording, model: str, most: int) -> Counter:
    """Start on up to ``most`` distinct states; return their number and those with each fault."""
    disk = Disk(recording.folder, recording.before, recording.operations, model)
    counts: Counter = Counter()
    seen = set()  # equal ones with other acknowledgements start again, and count once
    place = recording.folder.parent / "replayed"
    for cut, tree in distinct_states(disk, seed=1, extra=4):
        if counts["states"] >= most:
            break
        write_tree(tree, place)
        seen.add(digest(tree))
        counts["states"] = len(seen)
        found = start(recording.subject, place, disk.acknowledged(cut)).faults
        for kind, texts in found.items():
            counts[kind] += 1
            if counts[kind] <= SHOWN:
                print(f"  {recording.subject} {model} after {cut} operations, {kind}: {texts[0]}")
    return counts


def mutations(recording: Recording, most: int | None = None) -> Iterator[Result]:
    """Yield what the absence of each sync and rename does, or of some of them."""
    place = recording.folder.parent / "mutated"

    def faults(tree: Tree, acknowledged: list[str]) -> str:
        write_tree(tree, place)
        found = start(recording.subject, place, acknowledged).faults
        return "; ".join(f"{kind}: {texts[0]}" for kind, texts in found.items())

    disk = Disk(recording.folder, recording.before, recording.operations, MODELS[0])
    return try_mutations(disk, recording.operations, faults, most)


def main() -> None:
    """Record, replay and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--states", type=int, default=12_000, help="distinct states in all, at most"
    )
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
    parser.add_argument("--mutations", action="store_true", help="take out each sync and rename")
    parser.add_argument("--most", type=int, help="of a subject, drawn from all; without it all")
    options = parser.parse_args()
    if not shutil.which("strace"):
        raise SystemExit("strace is not installed; run: sudo apt-get install strace")
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # syncs cost nothing there
    totals: Counter = Counter()
    began, left = time.monotonic(), options.states
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        runs = [(s, m) for s in options.subjects for m in MODELS]
        recordings = {s: record_subject(s, Path(scratch)) for s in options.subjects}
        # the smallest first: what they leave goes to the others
        runs.sort(key=lambda run: len(recordings[run[0]].operations))
        for place, (subject, model) in enumerate(runs):
            counts = replay(recordings[subject], model, left // (len(runs) - place))
            left -= counts["states"]
            print(f"{subject}, {model}: {dict(counts)}", flush=True)
            totals += counts
        for recording in recordings.values() if options.mutations else ():
            print(f"{recording.subject}, without")
            for result in mutations(recording, options.most):
                print(f"  {result.site}\n    {result.what}: {result.how}", flush=True)
                totals["mutations"] += 1
                totals[result.what] += 1
    result = {name: totals[name] for name in ("states", *KINDS)}
    if options.mutations:
        result |= {name: totals[name] for name in ("mutations", NOTICED, REDUNDANT, UNNOTICED)}
    print(json.dumps(result | {"seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()

"""Sittings that are killed while labels come in: what was acknowledged is there, once."""

import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import pytest
import requests
from drawing import jpeg

from benchmarks.made_lake import SERVE, frame_name, make_lake
from steps.labelling.journal import Journal, journal_folder
from steps.settings.profile import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.proof, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("KILLS", "4"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
POSTERS = 3


@dataclass
class Posting:
    """Posts labels, one after the other; a label that was not acknowledged is posted again."""

    hashes: list[str]
    address: str = ""
    acknowledged: dict[str, str] = field(default_factory=dict)
    posted: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def post(self, number: int) -> None:
        rng, label = random.Random(SEED + number), None
        while not self.over.is_set():
            label = label or {
                "id": uuid.UUID(int=rng.getrandbits(128)).hex,
                "how": "key",
                "sha256": rng.choice(self.hashes),
                "label": str(rng.random()),
                "action": "a" * 32,
            }
            try:
                body = {"labels": [label]}
                self.posted += 1
                answer = requests.post(f"{self.address}labels", json=body, timeout=5)
                answer.raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
                continue
            self.acknowledged[label["id"]] = label["label"]
            label = None


def test_no_acknowledged_label_is_lost_or_doubled(tmp_path):
    profile, source = make_lake(tmp_path, [(frame_name(n), jpeg(n)) for n in range(20)])
    command = [sys.executable, "-c", SERVE, str(tmp_path), source, "ann"]
    rng, posting = random.Random(SEED), None
    posters: list[threading.Thread] = []
    for _ in range(KILLS):
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        address = process.stdout.readline().strip()
        assert address.startswith("http")
        if posting is None:
            shown = requests.get(f"{address}next?show=all", timeout=5).json()["images"]
            posting = Posting([one["sha256"] for one in shown])
            posters = [threading.Thread(target=posting.post, args=(n,)) for n in range(POSTERS)]
            for poster in posters:
                poster.start()
        posting.address = address
        time.sleep(rng.uniform(0.05, 0.7))
        process.kill()
        process.wait()
        process.stdout.close()
    posting.over.set()
    for poster in posters:
        poster.join()
    journal = Journal(journal_folder(profile))
    written = {row.id: row.label for row in journal.rows}
    assert max(Counter(row.id for row in journal.rows).values()) == 1
    assert len(posting.acknowledged) > KILLS and posting.acknowledged.items() <= written.items()
    # what was written and not acknowledged is what its poster would have sent again
    assert len(written) - len(posting.acknowledged) <= POSTERS
    print(f"{KILLS} kills, {posting.posted} posts, {len(posting.acknowledged)} acknowledged")
    journal.close()

"""The splits: which images train the network, validate it, and test it.

Two frames taken minutes apart are the same image, so a random split leaks. Here time is divided
into blocks on each device, and whole blocks go to one split. In every cycle of ten consecutive
blocks six train, two validate and two test, in an order shuffled by a hash: permuted-block
assignment, known from clinical trials, which covers every few hours with every split where
independent draws would leave gaps. A block's split depends on its time, its device and the seed
alone, so a new image never moves an old one.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
GUARD = "guard"
"""Images that are left out: too close to one of another split."""

COSTLY = 0.1
"""The share of images left out above which the user is told what to do."""

CYCLE = (TRAIN,) * 6 + (VALIDATION,) * 2 + (TEST,) * 2


Capture = tuple[datetime | None, str | None, str]
"""When an image was taken (UTC if it has no time zone), by which device, and its sha256."""


@dataclass(frozen=True)
class SplitRule:
    """The rule that assigns images to splits.

    Attributes:
        block_minutes: length of a block.
        guard_minutes: an image that a device took less than this after one of another split is
            left out, so that frames of two splits are never less than this apart.
        seed: another seed gives another split.
        taken: the splits that images bring themselves; the rule lets others train instead.

    >>> SplitRule().split_of(datetime(2026, 7, 13, 12, 30), "3", "ab12") in SPLITS
    True
    """

    block_minutes: int = 60
    guard_minutes: int = 6
    seed: int = 0
    taken: frozenset[str] = frozenset()

    def assign(self, images: Sequence[Capture]) -> list[str]:
        """Return the split of each image, or ``guard``.

        Each device's sequence decides which images are too close: a camera that takes one an
        hour, on the hour, has none. An image that arrives later may leave out an older one, and
        never moves it to another split.
        """
        splits = [self.split_of(*image) for image in images]
        assigned = list(splits)
        minutes = [None if time is None else _minute(time) for time, _, _ in images]
        newest: dict[tuple[str | None, str], float] = {}  # by device and split
        for minute, number in sorted((m, n) for n, m in enumerate(minutes) if m is not None):
            split, device = splits[number], images[number][1]
            others = (newest.get((device, other)) for other in SPLITS if other != split)
            if any(m is not None and minute - m < self.guard_minutes for m in others):
                assigned[number] = GUARD
            newest[device, split] = minute
        return assigned

    def split_of(self, captured_at: datetime | None, device: str | None, sha256: str) -> str:
        """Return ``train``, ``validation`` or ``test`` by an image alone.

        Without a time, nothing identifies neighbours, and the hash of the image's bytes decides.
        """
        block = self.block_of(captured_at, device, sha256)
        if isinstance(block, str):
            split = CYCLE[_random(self.seed, block).randrange(len(CYCLE))]
        else:
            split = self._split_of_block(*block)
        return TRAIN if split in self.taken else split

    def block_of(
        self, captured_at: datetime | None, device: str | None, sha256: str
    ) -> tuple[int, str | None] | str:
        """Return what goes to one split as a whole: a block of time on a device, or one image."""
        if captured_at is None:
            return sha256
        return int(_minute(captured_at) // self.block_minutes), device

    def _split_of_block(self, block: int, device: str | None) -> str:
        cycle, place = divmod(block, len(CYCLE))
        order = list(CYCLE)
        _random(self.seed, self.block_minutes, device, cycle).shuffle(order)
        return order[place]


def _minute(time: datetime) -> float:
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp() / 60


def _random(*key: object) -> random.Random:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - it hides nothing


def describe_guard(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return how many images the guard leaves out, by split and label, and if many, what to do.

    >>> describe_guard({"train": {"a": 98}, "guard": {"a": 2}})
    'the guard leaves out 2 of 100 images (2.0%), taken too soon after one of another split'
    """
    left_out = sum(counts.get(GUARD, {}).values())
    images = sum(sum(labels.values()) for labels in counts.values())
    share = left_out / max(images, 1)
    text = (
        f"the guard leaves out {left_out} of {images} images ({share:.1%}), taken too soon after "
        "one of another split"
    )
    if share <= COSTLY:
        return text
    return (
        f"{text}; pass a larger -P block_minutes=, since longer blocks have fewer borders, or a "
        "smaller -P guard_minutes= if the scene changes sooner"
    )

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
from dataclasses import dataclass
from datetime import UTC, datetime

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
GUARD = "guard"
"""Images that are left out: too close to a block of another split."""

CYCLE = (TRAIN,) * 6 + (VALIDATION,) * 2 + (TEST,) * 2


@dataclass(frozen=True)
class SplitRule:
    """The rule that assigns an image to a split.

    Attributes:
        block_minutes: length of a block.
        guard_minutes: images less than this after a block of another split are left out, so
            that frames of two splits are never less than this apart.
        seed: another seed gives another split.

    >>> SplitRule().split_of(datetime(2026, 7, 13, 12, 30), "3", "ab12") in SPLITS
    True
    """

    block_minutes: int = 60
    guard_minutes: int = 6
    seed: int = 0

    def split_of(self, captured_at: datetime | None, device: str | None, sha256: str) -> str:
        """Return ``train``, ``validation``, ``test`` or ``guard``.

        Args:
            captured_at: when the image was taken (UTC if it has no time zone). If it is None,
                nothing identifies neighbours, and the hash of the image's bytes decides.
            device: the camera.
            sha256: of the image's bytes.
        """
        if captured_at is None:
            return CYCLE[_random(self.seed, sha256).randrange(len(CYCLE))]
        if captured_at.tzinfo is None:
            captured_at = captured_at.replace(tzinfo=UTC)
        minute = captured_at.timestamp() / 60
        block = int(minute // self.block_minutes)
        split = self._split_of_block(block, device)
        first_near = int((minute - self.guard_minutes) // self.block_minutes)
        near = {self._split_of_block(other, device) for other in range(first_near, block)}
        return split if near <= {split} else GUARD

    def _split_of_block(self, block: int, device: str | None) -> str:
        cycle, place = divmod(block, len(CYCLE))
        order = list(CYCLE)
        _random(self.seed, self.block_minutes, device, cycle).shuffle(order)
        return order[place]


def _random(*key: object) -> random.Random:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - it hides nothing

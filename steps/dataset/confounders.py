"""What tells an image's label without a look at it: a network may have learned that instead."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from steps.dataset.batches import row_groups
from steps.dataset.cache import Cache
from steps.dataset.split import PARTS

TELLING = 0.9
"""Share of labels that a value names right from which on it counts as a confounder."""


@dataclass(frozen=True)
class Confounder:
    """A value that goes with the label.

    Attributes:
        kind: ``capture date`` or ``device``.
        told: share of the images whose label the value alone names right, 0–1.
        chance: the share of the most frequent label.
        values: by label, the values that its images have, most frequent first.
    """

    kind: str
    told: float
    chance: float
    values: dict[str, list[str]]

    @property
    def sentence(self) -> str:
        """What to make of it, for the report."""
        where = {label: _listed(values) for label, values in self.values.items()}
        if self.told == 1:
            what = "device " if self.kind == "device" else ""
            each = " and ".join(f"every {label} is from {what}{w}" for label, w in where.items())
            said = f"Label and {self.kind} coincide: {each}."
        else:
            said = f"The {self.kind} alone names {self.told:.0%} of the labels."
        return (
            f"{said} Whatever else differs by {self.kind} may have been learned in the label's "
            "place, and the held-out part, which shares it, cannot show that."
        )


def confounders(cache: Cache) -> list[Confounder]:
    """The values that name the labels of nearly all images of the three parts."""
    labels: list[str] = []
    values: dict[str, list[str | None]] = {"capture date": [], "device": []}
    for part in PARTS:
        for group in row_groups(cache, part, ["label", "captured_at", "device_id"]):
            labels += [cache.labels[number] for number in group.label]
            days = group.captured_at.astype("datetime64[D]")
            values["capture date"] += [None if np.isnat(day) else str(day) for day in days]
            values["device"] += group.device_id.tolist()
    return [
        found for kind, of_all in values.items() if (found := _confounder(kind, of_all, labels))
    ]


def _confounder(kind: str, values: list[str | None], labels: list[str]) -> Confounder | None:
    known = [
        (value, label) for value, label in zip(values, labels, strict=True) if value is not None
    ]
    by_value: dict[str, Counter] = defaultdict(Counter)
    by_label: dict[str, Counter] = defaultdict(Counter)
    for value, label in known:
        by_value[value][label] += 1
        by_label[label][value] += 1
    # where nearly each image has a value of its own, naming its label says nothing
    if len(by_label) < 2 or len(by_value) < 2 or len(by_value) > len(known) / 5:
        return None
    told = sum(max(counts.values()) for counts in by_value.values()) / len(known)
    chance = max(counts.total() for counts in by_label.values()) / len(known)
    if told < TELLING or told < chance + (1 - chance) / 2:
        return None
    named = {
        label: [value for value, _ in by_label[label].most_common()] for label in sorted(by_label)
    }
    return Confounder(kind, told, chance, named)


def _listed(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")

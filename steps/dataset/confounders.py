"""Confounders: what predicts an image's label without the image. A network may learn it instead."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.split import SPLITS

LEAST_PREDICTABILITY = 0.9
"""From which predictability on a value counts as a confounder."""


@dataclass(frozen=True)
class Confounder:
    """A value that predicts the label.

    Attributes:
        kind: ``capture date`` or ``device``.
        predictability: share of the images whose label the value alone predicts, 0–1.
        chance: the share of the most frequent label.
        values: by label, the values that its images have, most frequent first.
    """

    kind: str
    predictability: float
    chance: float
    values: dict[str, list[str]]

    @property
    def sentence(self) -> str:
        """What it means, for the report."""
        where = {label: _listed(values) for label, values in self.values.items()}
        if self.predictability == 1:
            what = "device " if self.kind == "device" else ""
            each = " and ".join(f"every {label} is from {what}{w}" for label, w in where.items())
            finding = f"Label and {self.kind} coincide: {each}."
        else:
            finding = f"The {self.kind} alone predicts {self.predictability:.0%} of the labels."
        return (
            f"{finding} The network may have learned whatever else differs by {self.kind} instead "
            "of the label. The test set has the same confounder, so it cannot show that."
        )


def find_confounders(cache: Cache) -> list[Confounder]:
    """Return the values that predict the labels of nearly all images of the three splits."""
    labels: list[str] = []
    values: dict[str, list[str | None]] = {"capture date": [], "device": []}
    for split in SPLITS:
        for group in read_row_groups(cache, split, ["label", "captured_at", "device_id"]):
            labels += [cache.labels[number] for number in group.label]
            days = group.captured_at.astype("datetime64[D]")
            values["capture date"] += [None if np.isnat(day) else str(day) for day in days]
            values["device"] += group.device_id.tolist()
    found = (_confounder(kind, of_all, labels) for kind, of_all in values.items())
    return [one for one in found if one]


def _confounder(kind: str, values: list[str | None], labels: list[str]) -> Confounder | None:
    known = [(v, label) for v, label in zip(values, labels, strict=True) if v is not None]
    by_value: dict[str, Counter[str]] = defaultdict(Counter)
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in known:
        by_value[value][label] += 1
        by_label[label][value] += 1
    # if nearly each image has a value of its own, that it predicts the label means nothing
    if len(by_label) < 2 or len(by_value) < 2 or len(by_value) > len(known) / 5:
        return None
    predictability = sum(max(counts.values()) for counts in by_value.values()) / len(known)
    chance = max(counts.total() for counts in by_label.values()) / len(known)
    if predictability < max(LEAST_PREDICTABILITY, chance + (1 - chance) / 2):
        return None
    by_frequency = {
        label: [value for value, _ in by_label[label].most_common()] for label in sorted(by_label)
    }
    return Confounder(kind, predictability, chance, by_frequency)


def _listed(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")

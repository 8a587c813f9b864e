"""Confounders: what predicts an image's label without the image. A network may learn it instead."""

from dataclasses import dataclass

import pandas as pd

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
    columns = ["label", "captured_at", "device_id"]
    groups = (group for split in SPLITS for group in read_row_groups(cache, split, columns))
    images = pd.concat((pd.DataFrame(group._asdict()) for group in groups), ignore_index=True)
    labels = images["label"].map(dict(enumerate(cache.labels)))
    days = images["captured_at"].dt.strftime("%Y-%m-%d")
    found = (
        _confounder("capture date", days, labels),
        _confounder("device", images["device_id"], labels),
    )
    return [one for one in found if one]


def _confounder(kind: str, values: "pd.Series[str]", labels: "pd.Series[str]") -> Confounder | None:
    counts = pd.crosstab(values, labels)  # of the images whose value is known
    images = counts.to_numpy().sum()
    # if nearly each image has a value of its own, that it predicts the label means nothing
    if min(counts.shape) < 2 or len(counts) > images / 5:
        return None
    predictability = float(counts.max(axis=1).sum() / images)
    chance = float(counts.sum().max() / images)
    if predictability < max(LEAST_PREDICTABILITY, chance + (1 - chance) / 2):
        return None
    by_frequency = {
        label: of_label[of_label > 0].sort_values(ascending=False, kind="stable").index.tolist()
        for label, of_label in counts.items()
    }
    return Confounder(kind, predictability, chance, by_frequency)


def _listed(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")

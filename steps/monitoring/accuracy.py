"""How accurate the answers are by now, by the control sample that people labelled."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from edge.inference.prediction import UNSURE
from steps.evaluation.intervals import wilson
from steps.ingestion.label_rows import CONTROL, RENAME, all_labels, without_undone
from steps.monitoring.compared import Comparison
from steps.monitoring.frames import HOUR

RECENT = 30 * 24 * HOUR
"""The estimate is of the images of the last 30 days."""


class Estimate(NamedTuple):
    """An accuracy on devices' images with its 95 % interval, and how many had no answer."""

    accuracy: float
    low: float
    high: float
    images: int
    unanswered: int


def estimate_accuracy(compared: Comparison) -> Estimate | None:
    """Return the accuracy of the version on control images of the last days; None without any.

    The order *control* goes through the images by their hash, which is at random whatever the model
    says of them, and passes those that have a label already. So all labelled images that it passed
    are the sample, however they got their label.
    """
    index = compared.index
    answers = dict(zip(compared.scored.numbers.tolist(), compared.scored.labels, strict=True))
    since = int(index.times[compared.is_new].max()) - RECENT if compared.is_new.any() else 0
    rows = all_labels(compared.profile).to_pylist()
    rows = [row for row in rows if index.find(row["sha256"]) is not None]
    is_passed, (labels, names) = _passed(rows), _follow(rows, compared)
    right = count = unanswered = 0
    for sha256, label in labels.items():
        number = index.find(sha256)
        if number is None or label is None or number not in answers:
            continue
        if not compared.is_new[number] or index.times[number] < since:
            continue
        if not is_passed(sha256, index.columns["ingested_at"][number].as_py()):
            continue
        answer = answers[number]
        if answer == UNSURE:
            unanswered += 1
            continue
        count += 1
        right += names.get(answer, answer) == label
    if not count:
        return None
    return Estimate(right / count, *wilson(right, count), count, unanswered)


def _passed(rows: list[dict[str, Any]]) -> Callable[[str, datetime], bool]:
    """Return what tells by hash and arrival whether the order *control* has passed an image.

    It has if an image of no smaller hash was labelled in that order after the arrival.

    Args:
        rows: of labels, the oldest first.
    """
    control = [row for row in rows if row["how"] == CONTROL]
    times = [row["labelled_at"] for row in control]
    furthest = [*accumulate((row["sha256"] for row in reversed(control)), max)][::-1]

    def is_passed(sha256: str, arrived: datetime) -> bool:
        at = bisect_left(times, arrived)
        return at < len(times) and sha256 <= furthest[at]

    return is_passed


def _follow(
    rows: list[dict[str, Any]], compared: Comparison
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Return the newest label by hash, and how labels that the version knows are named by now."""
    labels: dict[str, str | None] = {}
    names: dict[str, str] = {}
    for row in without_undone(rows):
        sha256, new = row["sha256"], row["label"]
        old = labels.get(sha256)
        is_renamed = row["how"] == RENAME and row["labelled_at"] > compared.version.trained_at
        if is_renamed and old is not None and new is not None:
            names = {name: new if now == old else now for name, now in names.items()} | {old: new}
        labels[sha256] = new
    return labels, names

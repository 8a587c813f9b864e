"""How accurate the answers are by now, by the control sample that people labelled."""

from typing import NamedTuple

from edge.inference.record import UNSURE
from steps.evaluation.metrics import wilson
from steps.ingestion.label_rows import CONTROL, current_labels
from steps.monitoring.compared import Comparison
from steps.monitoring.frames import HOUR

RECENT = 30 * 24 * HOUR
"""The estimate is of the images of the last 30 days."""


class Estimate(NamedTuple):
    """An accuracy with its 95 % interval, of how many images, and how many had no answer."""

    accuracy: float
    low: float
    high: float
    images: int
    unanswered: int


def estimate_accuracy(compared: Comparison) -> Estimate | None:
    """Return the accuracy of the version on control images of the last days; None without any.

    Labels count that were given in the order *control*: its images are drawn at random, by their
    hash, whatever the model says of them. Others are those that it was unsure of.
    """
    index = compared.index
    answers = dict(zip(compared.scored.numbers.tolist(), compared.scored.labels, strict=True))
    since = int(index.times[compared.is_new].max()) - RECENT if compared.is_new.any() else 0
    right = count = unanswered = 0
    for sha256, row in current_labels(compared.profile).items():
        number = index.find(sha256)
        if row["how"] != CONTROL or row["label"] is None or number not in answers:
            continue
        if number is None or not compared.is_new[number] or index.times[number] < since:
            continue
        if answers[number] == UNSURE:
            unanswered += 1
            continue
        count += 1
        right += answers[number] == row["label"]
    if not count:
        return None
    return Estimate(right / count, *wilson(right, count), count, unanswered)

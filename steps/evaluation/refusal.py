"""What a refused challenger means to its user: how the run ends, and what helps most."""

import math

from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.endings import Result
from steps.evaluation.comparison import Comparison
from steps.evaluation.metric_names import label_metric
from steps.settings.profile import Promotion


def end_refused(model: str, challenger: str, champion: str | None, why: str) -> tuple[Result, str]:
    """Return how a refusal ends, and its line.

    >>> end_refused("shoes", "5", "3", "had 0.89 (0.81–0.94), needed 0.90")[1]
    'champion stays: shoes 3; challenger 5 had 0.89 (0.81–0.94), needed 0.90'
    """
    if champion:
        stays = f"champion stays: {model} {champion}; challenger {challenger} {why}"
        return Result.CHAMPION_STAYS, stays
    return Result.NO_MODEL, f"no model yet: {model} {challenger} {why}"


def why_refused(comparison: Comparison, rules: Promotion) -> str:
    """Return what a refused challenger had, and what it needed."""
    accuracy = comparison.metrics["accuracy"]
    had = f"had {comparison.accuracy}"
    result = comparison.result
    wanted = rules.min_accuracy or 0.0
    if len(result.refusals) == 1 and accuracy < wanted and not result.images_needed:
        return f"{had}, needed {wanted:.2f}"
    return f"{had}: {result}"


def what_helps(comparison: Comparison) -> str:
    """Return what makes the next challenger most likely to pass."""
    if needed := comparison.result.images_needed:
        return f"add about {images_to_add(needed, comparison.cache)} labelled images"
    if comparison.result.needs_labels:
        labels = comparison.challenger.labels
        recall = {one: comparison.metrics.get(label_metric("recall", one), 1.0) for one in labels}
        worst = min(labels, key=lambda label: recall[label])
        return f"add labelled images, above all of {worst} (recall {recall[worst]:.2f})"
    return "train another, or change promotion in the profile"


def images_to_add(needed: int, cache: Cache) -> int:
    """Return about how many labelled images bring the test split to the number that is needed."""
    images = sum(sum(labels.values()) for labels in cache.counts.values())
    return math.ceil(images * needed / cache.rows(TEST)) - images

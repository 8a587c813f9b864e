"""What a refused challenger means to its user: how the run ends, and what helps most."""

import math

from edge.inference.region import Region
from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.endings import Result
from steps.evaluation.comparison import Comparison
from steps.evaluation.metric_names import label_metric
from steps.settings.profile import Promotion

FIX_SHORTCUT = (
    "add images whose label the shortcut does not say, or pass "
    '-P promote_accept_shortcut="<why it is no harm>"'
)


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


def what_helps(comparison: Comparison, shortcut: str = "") -> str:
    """Return what makes the next challenger most likely to pass.

    Args:
        comparison: that refused it.
        shortcut: that it is seen to follow; empty: none.
    """
    if shortcut in comparison.result.refusals:
        return FIX_SHORTCUT
    if needed := comparison.result.images_needed:
        return f"add about {images_to_add(needed, comparison.cache)} labelled images"
    if comparison.result.needs_labels:
        labels = comparison.challenger.labels
        recall = {one: comparison.metrics.get(label_metric("recall", one), 1.0) for one in labels}
        worst = min(labels, key=lambda label: recall[label])
        return f"add labelled images, above all of {worst} (recall {recall[worst]:.2f})"
    return "train another, or change promotion in the profile"


def what_else_helps(comparison: Comparison, region: Region | None) -> dict[str, dict[str, str]]:
    """Return what helps besides labels a challenger that was right too seldom.

    Args:
        comparison: that refused it.
        region: that the audit of its training proposes.

    Returns:
        parameters of the pipeline by the case in which they help, the likeliest first.
    """
    if not comparison.result.needs_labels or comparison.result.images_needed:
        return {}
    helps = {}
    if region:
        helps["the object is always in one part of the image"] = {"region": str(region)}
    larger = 32 * round(1.5 * comparison.cache.input_size[0] / 32)
    helps["it is small in the image"] = {"input_size": str(larger)}
    return helps


def images_to_add(needed: int, cache: Cache) -> int:
    """Return about how many labelled images bring the test split to the number that is needed."""
    images = sum(sum(labels.values()) for labels in cache.counts.values())
    return math.ceil(images * needed / cache.rows(TEST)) - images

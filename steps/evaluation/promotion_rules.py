"""The rules by which a challenger becomes champion: metrics in, a result with reasons out.

Absolute thresholds apply to the challenger's own metrics. A first model has to be better than a
rule that always answers the most frequent label, and to find each label. That a later one is no
worse than the champion is shown, not assumed: by a test of non-inferiority on the same images, in
which only discordant pairs count (images on which just one of the two is correct). If there are too
few test images to show it, the result says how many are needed.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

from steps.evaluation.bounds import bound_errors, cost_errors
from steps.evaluation.guessing import Guessing, guessing_errors
from steps.evaluation.paired_counts import PairedCounts
from steps.settings.profile import Bound, Promotion


@dataclass(frozen=True)
class PromotionResult:
    """Whether a challenger passes the promotion rules.

    Attributes:
        refusals: the reasons against it; none if it passes.
        images_needed: how many test images could decide it; None if more would not help.
        needs_labels: whether it was right too seldom, so that more labelled images would help.
    """

    refusals: list[str] = field(default_factory=list)
    images_needed: int | None = None
    needs_labels: bool = False

    @property
    def passed(self) -> bool:
        """Whether the alias may move."""
        return not self.refusals

    def __str__(self) -> str:
        return "; ".join(self.refusals) or "passed"


def evaluate_rules(
    metrics: dict[str, float], guessing: Guessing, paired: PairedCounts | None, rules: Promotion
) -> PromotionResult:
    """Decide whether a challenger may become champion.

    Args:
        metrics: the challenger's, by name; a slice's as ``<metric>@<slice>``; ``onnx_bytes`` and
            ``latency_ms`` of its ONNX graph.
        guessing: decides if there is no champion, unless the rules take any accuracy, 0.
        paired: the discordant pairs with the champion; None if there is no champion.
        rules: the profile's.
    """
    images, wanted = guessing.majority.images, rules.min_accuracy or 0.0
    needed = images_needed(1 - wanted, rules.confidence)
    if images < needed:
        reason = (
            f"{images} test images are too few: even if all are correct, "
            f"{wanted:g} at {rules.confidence:.0%} confidence needs {needed}"
        )
        return PromotionResult([reason], needed)
    refusals = _threshold_errors(metrics, rules)
    if paired is None:
        anything = rules.min_accuracy == 0  # is what was asked for
        others, enough = ([], None) if anything else guessing_errors(guessing, rules.confidence)
    else:
        others, enough = _regression_error(paired, rules)
    seldom = metrics["accuracy"] < wanted or (paired is None and bool(others))
    return PromotionResult(refusals + others, enough, seldom)


def images_needed(margin: float, confidence: float) -> int:
    """Return how many images without a mistake exclude an error rate of ``margin``.

    >>> images_needed(0.1, 0.95), images_needed(0.01, 0.95), images_needed(1, 0.95)
    (25, 268, 0)
    """
    if margin <= 0:  # no number of images shows that there is never a mistake
        return 1
    return math.ceil(NormalDist().inv_cdf(confidence) ** 2 * (1 - margin) / margin)


def _threshold_errors(metrics: dict[str, float], rules: Promotion) -> list[str]:
    wish = rules.min_accuracy
    errors = bound_errors(metrics, {} if wish is None else {"accuracy": Bound(min=wish)})
    return errors + cost_errors(metrics, rules) + bound_errors(metrics, rules.thresholds)


def _regression_error(paired: PairedCounts, rules: Promotion) -> tuple[list[str], int | None]:
    """Return why the challenger may be worse than the champion, and the images needed."""
    margin, sure = rules.max_regression, NormalDist().inv_cdf(rules.confidence)
    counts = (
        f"of {paired.images} images, the champion alone is correct on {paired.only_champion} and "
        f"the challenger alone on {paired.only_challenger}"
    )
    if paired.difference < 0 and paired.difference <= -margin:
        return [f"accuracy is more than {margin:g} below the champion's: {counts}"], None
    # with no margin nothing can show equality, so "not worse" suffices; by 1 none can be worse
    if margin in (0, 1):
        return [], None
    score = paired.score(margin)
    if score >= sure:
        return [], None
    needed = math.ceil(paired.images * (sure / score) ** 2)
    reason = (
        f"{counts}, which is too few to show at {rules.confidence:.0%} confidence that it is no "
        f"more than {margin:g} worse; about {needed} test images are needed"
    )
    return [reason], needed

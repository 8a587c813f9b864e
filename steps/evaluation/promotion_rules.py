"""The rules by which a challenger becomes champion: numbers in, a verdict out.

Absolute thresholds hold for what was measured. That a challenger is no worse than the champion is
shown, not assumed: a test of non-inferiority on the same images, in which only those count on
which the two disagree. Where too few images were held out to show it, the verdict says how many
would do.
"""

import logging
import math
from dataclasses import dataclass, field
from statistics import NormalDist

from mlflow.models import MetricThreshold
from mlflow.models.evaluation import EvaluationResult
from mlflow.models.evaluation.validation import (
    ModelValidationFailedException,
    validate_evaluation_results,
)

from steps.settings.profile import Promotion


@dataclass(frozen=True)
class Paired:
    """How two models did on the same images.

    Attributes:
        images: how many.
        lost: the champion is right, the challenger wrong.
        won: the challenger is right, the champion wrong.
    """

    images: int
    lost: int
    won: int

    @property
    def difference(self) -> float:
        """The challenger's accuracy minus the champion's."""
        return (self.won - self.lost) / self.images

    def mcnemar(self) -> float:
        """The two-sided p-value of McNemar's exact test: that the two are equally good."""
        split = self.won + self.lost
        if split == 0:
            return 1.0
        fewer = range(min(self.won, self.lost) + 1)
        return min(1.0, 2 * sum(math.comb(split, k) for k in fewer) / 2**split)

    def score(self, margin: float) -> float:
        """Tango's score statistic against a challenger that is worse by ``margin``.

        Standard normal where it is worse by just that; the greater, the surer that it is not.
        T. Tango, Statistics in Medicine 17 (1998), 891–908.

        >>> Paired(images=52, lost=0, won=0).score(0.05) > 1.645 > Paired(51, 0, 0).score(0.05)
        True
        """
        n, b, c, delta = self.images, self.lost, self.won, -margin
        linear = -(b + c) + (2 * n - c + b) * delta
        constant = -b * delta * (1 - delta)
        lost_rate = (math.sqrt(linear**2 - 8 * n * constant) - linear) / (4 * n)
        return (c - b - n * delta) / math.sqrt(n * (2 * lost_rate + delta * (1 - delta)))


@dataclass(frozen=True)
class Verdict:
    """Passed, or the reasons against; ``needed`` images where too few were held out."""

    refusals: list[str] = field(default_factory=list)
    needed: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the alias may move."""
        return not self.refusals

    def __str__(self) -> str:
        return "; ".join(self.refusals) or "passed"


def judge(
    metrics: dict[str, float], images: int, paired: Paired | None, rules: Promotion
) -> Verdict:
    """Whether a challenger may become champion.

    Args:
        metrics: the challenger's, by name; a slice's as ``<metric>@<slice>``; ``onnx_bytes`` and
            ``latency_ms`` of its ONNX graph.
        images: the number held out.
        paired: against the champion; None where there is none.
        rules: the profile's.
    """
    needed = images_needed(1 - rules.min_accuracy, rules.confidence)
    if images < needed:
        reason = (
            f"{images} held-out images are too few: even if all are right, "
            f"{rules.min_accuracy:g} at {rules.confidence:.0%} confidence needs {needed}"
        )
        return Verdict([reason], needed)
    refusals = _against_thresholds(metrics, rules)
    if paired is None:
        return Verdict(refusals)
    refusal, enough = _against_champion(paired, rules)
    return Verdict(refusals + ([refusal] if refusal else []), enough)


def images_needed(margin: float, confidence: float) -> int:
    """Images on which nothing may go wrong, to exclude with confidence a rate of ``margin``.

    >>> images_needed(0.1, 0.95), images_needed(0.01, 0.95), images_needed(1, 0.95)
    (25, 268, 0)
    """
    if margin <= 0:  # to show that nothing ever goes wrong, no number is enough
        return 1
    return math.ceil(NormalDist().inv_cdf(confidence) ** 2 * (1 - margin) / margin)


def _against_thresholds(metrics: dict[str, float], rules: Promotion) -> list[str]:
    thresholds = {"accuracy": MetricThreshold(rules.min_accuracy, greater_is_better=True)}
    for name, limit in (
        ("onnx_bytes", rules.max_onnx_bytes),
        ("latency_ms", rules.max_latency_ms),
    ):
        if limit is not None:
            thresholds[name] = MetricThreshold(limit, greater_is_better=False)
    # it would tell of each metric that passed
    logging.getLogger("mlflow.models.evaluation.validation").setLevel(logging.WARNING)
    refusals = []
    for name, bound in rules.thresholds.items():
        if bound.min is not None:
            thresholds[name] = MetricThreshold(bound.min, greater_is_better=True)
        else:
            thresholds[name] = MetricThreshold(bound.max, greater_is_better=False)
    for name, threshold in thresholds.items():
        try:  # one by one: each failure is a reason of its own
            validate_evaluation_results({name: threshold}, EvaluationResult(metrics, {}))
        except ModelValidationFailedException:
            refusals.append(_said(name, metrics.get(name), threshold))
    return refusals


def _said(name: str, value: float | None, threshold: MetricThreshold) -> str:
    if value is None:
        return f"there is no metric {name!r} on the held-out images"
    words = "below the least" if threshold.greater_is_better else "above the most"
    return f"{name} {value:.4g} is {words}, {threshold.threshold:g}"


def _against_champion(paired: Paired, rules: Promotion) -> tuple[str | None, int | None]:
    """Why the challenger is not known to be as good, and the images that would decide it."""
    margin, sure = rules.max_regression, NormalDist().inv_cdf(rules.confidence)
    counts = (
        f"of {paired.images} images {paired.lost} are lost and {paired.won} won against the "
        "champion"
    )
    if paired.difference < 0 and paired.difference <= -margin:
        return f"more than {margin:g} below the champion's accuracy: {counts}", None
    # nothing can show that two are exactly as good: not worse has to do; and by 1 none can be worse
    if margin in (0, 1):
        return None, None
    score = paired.score(margin)
    if score >= sure:
        return None, None
    needed = math.ceil(paired.images * (sure / score) ** 2)
    return (
        f"{counts}, which is too few to show at {rules.confidence:.0%} confidence that it is no "
        f"more than {margin:g} worse; about {needed} held-out images would do",
        needed,
    )

"""What a model predicts for one frame."""

from dataclasses import dataclass

from edge.inference.prediction import Prediction


@dataclass(frozen=True)
class Result:
    """The prediction of a model for one frame, or the reason why there is none.

    Attributes:
        model: the registered model's name.
        version: its version.
        label: the predicted class; None without a score.
        score: its probability, 0–1.
        probabilities: of each label.
        latency_ms: milliseconds of preparing and scoring.
        reason: why there is no score.
    """

    model: str
    version: str
    label: str | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    latency_ms: float | None = None
    reason: str | None = None

    @classmethod
    def of(cls, model: str, version: str, prediction: Prediction) -> "Result":
        """Return the result for what a model predicts."""
        label, score, probabilities, ms = prediction
        return cls(model, version, label, score, probabilities, round(ms, 2))

    @property
    def margin(self) -> float:
        """The likeliest class's lead over the next one, 0–1; 1 without a score."""
        if not self.probabilities or len(self.probabilities) < 2:
            return 1.0
        first, second = sorted(self.probabilities.values(), reverse=True)[:2]
        return first - second

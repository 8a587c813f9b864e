"""The trial of a challenger: both models on the pictures that its training held out."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from steps.lake.session import spark_session
from steps.serving.comparison import Judged, judged, onnx_limits, record_of
from steps.serving.judgement import Verdict, judge
from steps.settings.profile import Profile
from steps.tracking.inputs import read_outputs
from steps.tracking.outputs import TrainOutputs
from steps.tracking.registry import load_keras
from steps.training.cache import Cache, find_or_fill
from steps.training.evaluation import keras_predict
from steps.training.split import TEST


@dataclass(frozen=True)
class Trial:
    """What came out.

    Attributes:
        challenger: what it says of each picture.
        champion: what the other says of the same; None where there is no other.
        metrics: the challenger's, with ``onnx_bytes`` and ``latency_ms``.
        verdict: by the profile's rules.
        cache: the pictures, as the challenger saw them.
    """

    challenger: Judged
    champion: Judged | None
    metrics: dict[str, float]
    verdict: Verdict
    cache: Cache

    def accuracies(self) -> dict[str, float]:
        """By who was judged."""
        both = {"challenger": self.challenger, "champion": self.champion}
        return {who: float(said.right.mean()) for who, said in both.items() if said}


def hold_trial(challenger: ModelVersion, champion: ModelVersion | None, profile: Profile) -> Trial:
    """Judge a challenger, beside the champion where that is another version.

    Both see the same rows at the same Delta version: the test part of the challenger's training,
    prepared for each network at its own size.
    """
    ours = read_outputs(challenger.tags["run.train"], TrainOutputs)
    model, record = load_keras(challenger), record_of(ours)
    cache = _held_out(ours, ours, profile)
    said = judged(keras_predict(model), record, cache, TEST)
    with tempfile.TemporaryDirectory() as folder:
        metrics = said.metrics() | onnx_limits(model, record, Path(folder))
    other = None
    if champion and champion.version != challenger.version:
        theirs = read_outputs(champion.tags["run.train"], TrainOutputs)
        other = judged(
            keras_predict(load_keras(champion)),
            record_of(theirs),
            _held_out(ours, theirs, profile),
            TEST,
        )
    paired = said.against(other) if other else None
    verdict = judge(metrics, len(said.truth), paired, profile.promotion)
    return Trial(said, other, metrics, verdict, cache)


def _held_out(judged_on: TrainOutputs, shown_to: TrainOutputs, profile: Profile) -> Cache:
    selection = judged_on.selection.model_copy(update={"input_size": shown_to.selection.input_size})
    return find_or_fill(selection, profile, lambda: spark_session(profile, "promote"))

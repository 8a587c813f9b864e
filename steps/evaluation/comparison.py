"""The trial of a challenger: both models on the images that its training held out."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.entities.model_registry import ModelVersion

from steps.dataset.cache import Cache
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.split import TEST
from steps.evaluation.model_predictions import Judged, judged, onnx_limits, record_of
from steps.evaluation.predictions import keras_predict
from steps.evaluation.promotion_rules import Verdict, judge
from steps.lake.session import spark_session
from steps.pipeline.outputs import TrainOutputs
from steps.pipeline.run_files import read_outputs
from steps.registry.versions import load_keras
from steps.settings.profile import Profile


@dataclass(frozen=True)
class Trial:
    """What came out.

    Attributes:
        challenger: what it says of each image.
        champion: what the other says of the same; None where there is no other.
        seen: ``bool [N]``: the images that the champion knows from its own training.
        metrics: the challenger's, with ``onnx_bytes`` and ``latency_ms``.
        verdict: by the profile's rules.
        cache: the images, as the challenger saw them.
    """

    challenger: Judged
    champion: Judged | None
    seen: np.ndarray
    metrics: dict[str, float]
    verdict: Verdict
    cache: Cache

    def accuracies(self) -> dict[str, float]:
        """By who was judged."""
        both = {"challenger": self.challenger, "champion": self.champion}
        return {who: float(said.right.mean()) for who, said in both.items() if said}

    @property
    def caution(self) -> str:
        """What to know of the comparison; empty where nothing speaks against it."""
        if not self.seen.any():
            return ""
        return (
            f"the champion knows {self.seen.sum()} of the {len(self.seen)} images from its own "
            "training, which was split otherwise, and looks better on them than it is"
        )


def compare_to_champion(
    challenger: ModelVersion, champion: ModelVersion | None, profile: Profile
) -> Trial:
    """Judge a challenger, beside the champion where that is another version.

    Both see the same rows at the same Delta version: the test part of the challenger's training,
    prepared for each network at its own size. Where the champion's training was split otherwise,
    it may know some of them. They stay in: that is no more than unfair to the challenger, so it
    lets no worse one through, but the trial has it as a caution.
    """
    ours = read_outputs(challenger.tags["run.train"], TrainOutputs)
    model, record = load_keras(challenger), record_of(ours)
    cache = _held_out(ours, ours, profile)
    said = judged(keras_predict(model), record, cache, TEST)
    with tempfile.TemporaryDirectory() as folder:
        metrics = said.metrics() | onnx_limits(model, record, Path(folder))
    other, seen = None, np.zeros(len(said.truth), bool)
    if champion and champion.version != challenger.version:
        theirs = read_outputs(champion.tags["run.train"], TrainOutputs)
        other = judged(
            keras_predict(load_keras(champion)),
            record_of(theirs),
            _held_out(ours, theirs, profile),
            TEST,
        )
        seen = said.seen_in(theirs.selection)
    paired = said.against(other) if other else None
    verdict = judge(metrics, len(said.truth), paired, profile.promotion)
    return Trial(said, other, seen, metrics, verdict, cache)


def _held_out(judged_on: TrainOutputs, shown_to: TrainOutputs, profile: Profile) -> Cache:
    selection = judged_on.selection.model_copy(update={"input_size": shown_to.selection.input_size})
    return find_or_fill(selection, profile, lambda: spark_session(profile, "promote"))

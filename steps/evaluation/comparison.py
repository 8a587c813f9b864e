"""The comparison of a challenger with the champion, on the test images of the challenger's
training."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.split import TEST, TRAIN, VALIDATION, SplitRule
from steps.errors import UserError
from steps.evaluation.guessing import compare_to_guesses
from steps.evaluation.intervals import describe_accuracy
from steps.evaluation.predictions import Predictions, predict_by_keras
from steps.evaluation.promotion_rules import PromotionResult, evaluate_rules
from steps.evaluation.slices import slice_metrics
from steps.lake.session import spark_session
from steps.pipeline.outputs import Selection, TrainOutputs
from steps.registry.versions import COMPARED, load_keras, read_training
from steps.settings.profile import Profile

if TYPE_CHECKING:
    import keras

from steps.evaluation.intervals import expected_accuracy
from steps.evaluation.paired_counts import pair


class Candidate(NamedTuple):
    """A registered version, loaded: its network and the outputs of its training."""

    model: "keras.Model"
    trained: TrainOutputs


def load_candidate(version: ModelVersion) -> Candidate:
    """Load a version that is compared, and the outputs of the run that trained it."""
    return Candidate(load_keras(version), read_training(version))


def past_result(version: ModelVersion) -> str:
    """Return a version's accuracy, and how its comparison with the champion ended, if any."""
    try:
        trained = read_training(version)
    except UserError:  # its run is gone, which must not keep anyone from a way back
        accuracy = "its accuracy is not known"
    else:
        accuracy = f"accuracy {expected_accuracy(trained)} on its test images"
    return f"{accuracy}; {version.tags.get(COMPARED, 'never compared with a champion')}"


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison of champion and challenger.

    Attributes:
        challenger: its predictions.
        champion: the champion's for the same images; None if there is no other version.
        seen: ``bool [N]``: the images that the champion's own training used.
        metrics: the challenger's, with those of its slices and of its ONNX graph.
        result: by the profile's rules.
        cache: the images, prepared for the challenger.
        validated: the confusion that decides about a first model, if its test split is small.
    """

    challenger: Predictions
    champion: Predictions | None
    seen: NDArray[np.bool_]
    metrics: dict[str, float]
    result: PromotionResult
    cache: Cache
    validated: list[list[int]] = field(default_factory=list)

    @property
    def accuracy(self) -> str:
        """The challenger's accuracy as people read it."""
        images = len(self.challenger)
        return describe_accuracy(self.metrics["accuracy"], images, self.validated)

    def accuracies(self) -> dict[str, float]:
        """Return the accuracy of ``challenger`` and, if there is one, ``champion``."""
        both = {"challenger": self.challenger, "champion": self.champion}
        return {name: float(one.correct.mean()) for name, one in both.items() if one}

    def champion_metrics(self) -> dict[str, float]:
        """Return the champion's metrics and those of its slices; none if there is no champion."""
        return _metrics(self.champion) if self.champion else {}

    def refused(self, reason: str) -> "Comparison":
        """Return the comparison with one more reason against the challenger."""
        result = replace(self.result, refusals=[reason, *self.result.refusals])
        return replace(self, result=result)

    @property
    def warning(self) -> str:
        """A sentence on images that leaked into the champion's training; empty if none did."""
        if not self.seen.any():
            return ""
        return (
            f"{self.seen.sum()} of the {len(self.seen)} test images were used to train the "
            "champion, whose accuracy may be overestimated"
        )

    @property
    def caution(self) -> str:
        """The warning in brackets, to stand behind a result; empty if there is none."""
        return f" ({self.warning})" if self.warning else ""


def compare_to_champion(
    challenger: Candidate,
    champion: Candidate | None,
    onnx_metrics: dict[str, float],
    profile: Profile,
) -> Comparison:
    """Evaluate a challenger, and the champion if that is another version, on the same images.

    Both predict the same rows at the same Delta version: the test split of the challenger's
    training, prepared for each network at its own size and in its own regions. If the champion was
    trained on another split, it may have seen some of them. They stay in: that favours the champion
    alone, so no worse challenger passes, and the comparison carries a warning.

    Args:
        challenger: the version that may be promoted.
        champion: the version that it would replace, or None.
        onnx_metrics: ``onnx_bytes`` and ``latency_ms`` of the challenger's ONNX graph.
        profile: has the promotion rules, and the cache that is filled if it lacks the images.
    """
    selection = challenger.trained.selection
    cache, ours = _predict(challenger, selection, profile)
    metrics = _metrics(ours) | onnx_metrics
    theirs, paired, seen = None, None, np.zeros(len(ours), bool)
    if champion:
        _, theirs = _predict(champion, selection, profile)
        paired = pair(ours, theirs)
        own, training = champion.trained.own_splits, champion.trained.selection
        same_test = training.test == selection.test and TEST in cache.own_splits and TEST in own
        if not same_test:
            seen = seen_by_champion(ours, training, own)
    rules = profile.promotion
    measured, confusion, validated = metrics, ours.confusion(), challenger.trained.cross_validated
    if champion:  # both are compared on test images alone
        validated = []
    elif validated:
        confusion = np.array(validated)
        measured = metrics | {"accuracy": float(confusion.trace() / confusion.sum())}
    guessing = compare_to_guesses(ours.labels, confusion, rules.confidence)
    result = evaluate_rules(measured, guessing, paired, rules)
    return Comparison(ours, theirs, seen, metrics, result, cache, validated)


def _metrics(predictions: Predictions) -> dict[str, float]:
    return predictions.metrics() | slice_metrics(predictions)


def _predict(
    candidate: Candidate, selection: Selection, profile: Profile
) -> tuple[Cache, Predictions]:
    trained = candidate.trained
    prepared = ("input_size", "resizing", "regions")
    own = {name: getattr(trained.selection, name) for name in prepared}
    selection = selection.model_copy(update=own)
    cache = find_or_fill(selection, profile, lambda: spark_session(profile, "promote"))
    decision = trained.labels, trained.threshold, trained.threshold_label
    return cache, predict_by_keras(candidate.model, cache, TEST, *decision)


def seen_by_champion(
    images: Predictions, training: Selection, own_splits: Collection[str] = ()
) -> NDArray[np.bool_]:
    """Return which images the champion's training used to fit or choose its network: ``bool [N]``.

    The rule of its split needs no more than the images themselves: those that were ingested
    after that training count too if it would have used them. So do those that its guard left
    out, since it used images beside them.

    Args:
        images: that bring no split themselves, or one that the training did not know.
        training: its selection.
        own_splits: those that its images brought.
    """
    taken = frozenset(own_splits)
    split = SplitRule(training.block_minutes, training.guard_minutes, training.split_seed, taken)
    times = images.captured_at.astype("datetime64[us]").astype(object)  # NaT becomes None
    splits = map(split.split_of, times, images.devices, images.sha256)
    used = np.array([one in (TRAIN, VALIDATION) for one in splits], bool)
    return used & np.char.startswith(images.paths.astype(str), training.source + "/")

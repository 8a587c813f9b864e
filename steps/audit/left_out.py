"""Whole days, hours and devices, predicted by a classifier that was trained without them.

A frozen network's features are there, so its classifier is fitted again in a second. A network that
trains all its layers would have to be trained once for each fold, which takes minutes each.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.dataset.split import TEST, TRAIN, VALIDATION
from steps.evaluation.predictions import Predictions
from steps.training.cross_validation import FOLDS, predict_by_others
from steps.training.feature_cache import read_features

KINDS = ("day", "hour", "device")
BLOCK = "block"
"""The kind of group that the split assigns as a whole: leaving it out is cross-validation."""
MOST_IMAGES = 1000
"""Of which the classifier is fitted. More take longer, and the groups are as different."""


def predict_left_out(
    features: Cache, images: pd.DataFrame, labels: list[str]
) -> dict[str, Predictions]:
    """Predict the images of the training and the validation split, each group left out in turn.

    Args:
        features: of these images.
        images: as :func:`steps.audit.images.describe_images` returns them.
        labels: class names in the order of the network's output.

    Returns:
        by kind of group, the predictions of images whose group was left out; without the images
        whose label no other group has, of which nothing can be learned then. If the test split is
        small, by ``BLOCK`` those of the images of all splits.
    """
    splits = (TRAIN, VALIDATION, TEST) if features.has_few(TEST) else (TRAIN, VALIDATION)
    read = [read_features(features, split) for split in splits]
    values = {
        capture[2]: row
        for one in read
        for capture, row in zip(one.captures, one.values, strict=True)
    }
    images = images.drop_duplicates("sha256").set_index("sha256", drop=False)
    images = images.loc[images.index.intersection(list(values))]
    matrix = np.stack([values[sha256] for sha256 in images.index])
    found = {}
    for kind in (*KINDS, BLOCK) if features.has_few(TEST) else KINDS:
        known = np.flatnonzero(images[kind].notna())[: None if kind == BLOCK else MOST_IMAGES]
        if images[kind].nunique() > 1:
            predicted = predict_groups(matrix[known], images.iloc[known], kind, labels)
            if len(predicted):
                found[kind] = predicted
    return found


def predict_groups(
    matrix: NDArray[np.float32], images: pd.DataFrame, kind: str, labels: list[str]
) -> Predictions:
    """Predict the images of each group by a classifier that is fitted without it.

    Args:
        matrix: features, ``float32 [N, features]``.
        images: in the same order, as :func:`steps.audit.images.describe_images` returns them.
        kind: the column of the groups.
        labels: class names in the order of the probabilities.
    """
    from sklearn.model_selection import GroupKFold

    truth = images["label"].map(labels.index).to_numpy()
    probabilities = np.full((len(images), len(labels)), np.nan, np.float32)
    folds = GroupKFold(min(FOLDS, images[kind].nunique())).split(matrix, groups=images[kind])
    for known, group in folds:
        learned = np.unique(truth[known])
        left_out = group[np.isin(truth[group], learned)]
        if len(learned) < 2 or not len(left_out):
            continue
        probabilities[left_out] = predict_by_others(matrix, truth, known, left_out, len(labels))
    predictions = Predictions(
        labels,
        probabilities,
        truth=images["label"].to_numpy(str),
        sha256=images["sha256"].to_numpy(str),
        paths=images["path"].to_numpy(str),
        devices=images["device"].to_numpy(object),
        captured_at=images["captured_at"].to_numpy("datetime64[us]"),
        brightness=images["brightness"].to_numpy(),
    )
    return predictions.subset(~np.isnan(probabilities[:, 0]))

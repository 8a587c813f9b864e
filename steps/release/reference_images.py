"""The reference images of a release: test images with which a device tests the model."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.inference.prepare import prepare
from edge.inference.reference_images import ReferenceImage, ReferenceImages
from edge.inference.scoring import Scorer
from steps.dataset.cache import Cache
from steps.dataset.cache_reader import read_pixels
from steps.dataset.split import TEST
from steps.evaluation.predictions import Predictions

PER_LABEL = 4
QUALITY = 90
"""Of the JPEG encoding; they are JPEG so that the device's decoder is tested too."""


def select_reference_images(
    predictions: Predictions, scorers: Mapping[str, Scorer], cache: Cache
) -> ReferenceImages:
    """Select reference images, and score them with each file of a model.

    Of each label a few are selected evenly from the least to the most probable. They have the
    cached pixels, at the network's size, encoded as JPEG; the scores are of the encoded images, of
    which no region is taken again.

    Args:
        predictions: the float model's, for the test images.
        scorers: by the name of the model's file.
        cache: has the images.
    """
    selected = _select(predictions)
    pixels = read_pixels(cache, TEST, selected)
    return ReferenceImages(
        tuple(_reference_image(pixels[digest], scorers, digest) for digest in selected)
    )


def _select(predictions: Predictions) -> list[str]:
    selected: list[str] = []
    for index, label in enumerate(predictions.labels):
        rows = np.flatnonzero(predictions.truth == label)
        ranked = rows[np.argsort(predictions.probabilities[rows, index], kind="stable")]
        places = np.linspace(0, len(rows) - 1, min(PER_LABEL, len(rows))).round().astype(int)
        selected += predictions.sha256[ranked[places]].tolist()
    return list(dict.fromkeys(selected))


def _reference_image(
    pixels: NDArray[np.uint8], scorers: Mapping[str, Scorer], sha256: str
) -> ReferenceImage:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
    content = encoded.getvalue()
    scores = {
        name: [round(score, 7) for score in prediction.probabilities.values()]
        for name, scorer in scorers.items()
        for prediction in scorer.predict_prepared([prepare(content, scorer.record.input_size)])
    }
    return ReferenceImage(content, scores, sha256)

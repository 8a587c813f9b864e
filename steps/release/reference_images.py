"""The reference images of a release: held-out ones on which a device tries the model."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from edge.inference.reference_images import ReferenceImage, ReferenceImages
from edge.inference.scoring import Scorer
from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.evaluation.predictions import Predictions, read_pixels

A_LABEL = 4
"""reference images of each label."""
QUALITY = 90
"""They are JPEG, so that the device's decoder is tried too."""


def select_reference_images(
    predictions: Predictions, scorers: Mapping[str, Scorer], cache: Cache
) -> ReferenceImages:
    """Choose reference images, and let each file of a model score them.

    Of each label some are taken from the surest to the most doubtful, evenly. They are what was
    cached, at the network's size, encoded anew; the scores are those of the encoded images.

    Args:
        predictions: the float model's, for the test images.
        scorers: by the name of the model's file.
        cache: where the images are.
    """
    chosen = _chosen(predictions)
    pixels = read_pixels(cache, TEST, chosen)
    return ReferenceImages(tuple(_reference_image(pixels[digest], scorers) for digest in chosen))


def _chosen(predictions: Predictions) -> list[str]:
    chosen: list[str] = []
    for index, label in enumerate(predictions.labels):
        rows = np.flatnonzero(predictions.truth == label)
        by_doubt = rows[np.argsort(predictions.probabilities[rows, index], kind="stable")]
        places = np.linspace(0, len(rows) - 1, min(A_LABEL, len(rows))).round().astype(int)
        chosen += predictions.sha256[by_doubt[places]].tolist()
    return list(dict.fromkeys(chosen))


def _reference_image(pixels: np.ndarray, scorers: Mapping[str, Scorer]) -> ReferenceImage:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
    content = encoded.getvalue()
    return ReferenceImage(
        content,
        {
            name: [round(score, 7) for score in prediction.probabilities.values()]
            for name, scorer in scorers.items()
            for prediction in scorer.predict([content])
        },
    )

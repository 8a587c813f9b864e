"""The reference images of a release: held-out ones on which a device tries the model."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from edge.inference.reference_images import ReferenceImage, ReferenceImages
from edge.inference.scoring import Scorer, prepare_bytes
from steps.dataset.batches import pixels_of, row_groups
from steps.dataset.cache import Cache
from steps.dataset.split import TEST
from steps.evaluation.model_predictions import Judged

A_LABEL = 4
"""reference images of each label."""
QUALITY = 90
"""They are JPEG, so that the device's decoder is tried too."""


def select_reference_images(
    judged: Judged, scorers: Mapping[str, Scorer], cache: Cache
) -> ReferenceImages:
    """Choose reference images, and let each file of a model score them.

    Of each label some are taken from the surest to the most doubtful, evenly. They are what was
    cached, at the network's size, encoded anew; the scores are those of the encoded images.

    Args:
        judged: what the float model says of the held-out images.
        scorers: by the name of the model's file.
        cache: where the images are.
    """
    chosen = _chosen(judged)
    images = {}
    for group in row_groups(cache, TEST, ["pixels", "sha256"], None):
        for sha256, pixels in zip(group.sha256, pixels_of(group.pixels, cache), strict=True):
            if sha256 in chosen:
                images[sha256] = _reference_image(pixels, scorers)
    return ReferenceImages(tuple(images[sha256] for sha256 in chosen))


def _chosen(judged: Judged) -> list[str]:
    chosen: list[str] = []
    for index, label in enumerate(judged.labels):
        rows = np.flatnonzero(judged.truth == label)
        by_doubt = rows[np.argsort(judged.probabilities[rows, index], kind="stable")]
        places = np.linspace(0, len(rows) - 1, min(A_LABEL, len(rows))).round().astype(int)
        chosen += judged.sha256[by_doubt[places]].tolist()
    return list(dict.fromkeys(chosen))


def _reference_image(pixels: np.ndarray, scorers: Mapping[str, Scorer]) -> ReferenceImage:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=QUALITY)
    content = encoded.getvalue()
    return ReferenceImage(
        content,
        {
            name: [
                round(float(score), 7)
                for score in scorer.score_prepared(
                    prepare_bytes(content, scorer.record.input_size)[None]
                )[0]
            ]
            for name, scorer in scorers.items()
        },
    )

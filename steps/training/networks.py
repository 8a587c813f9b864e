"""The networks: ``uint8 [N, H, W, 3]`` in, class probabilities out.

Scaling and softmax are inside, so callers pass pixels as ``prepare`` returns them. To add a
network, write a function here and name it in ``NETWORKS``.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from steps.errors import UserError
from steps.features.efficientnet_lite0 import extract_features
from steps.training.plan import Plan

if TYPE_CHECKING:
    import keras


CLASSIFIER = "probabilities"
"""The name of the last layer."""


def build_network(plan: Plan, input_size: tuple[int, int], classes: int) -> "keras.Model":
    """Build a plan's network, layer by layer, for any number of classes.

    Args:
        plan: names the network; ``width`` multiplies the channels of the compact network and is
            alpha of the MobileNets; ``weights`` are ``none`` (random), ``imagenet``, or the path
            of a ``.weights.h5`` or ``.h5`` file: for Keras' networks, without their top.
        input_size: (height, width) in pixels.
        classes: number of classes, at least 2.

    Raises:
        ValueError: there is no such network.
        UserError: the weights cannot be loaded.
    """
    import keras

    features = build_backbone(plan, input_size)
    x = keras.layers.Dropout(plan.dropout, seed=plan.seed)(features.output)
    probabilities = keras.layers.Dense(
        classes, activation="softmax", name=CLASSIFIER, dtype="float32"
    )(x)
    return keras.Model(features.input, probabilities, name=plan.network)


def build_backbone(plan: Plan, input_size: tuple[int, int]) -> "keras.Model":
    """Build a plan's network without its classifier: from pixels to ``float32 [N, features]``."""
    import keras

    validate_network(plan.network)
    pixels = keras.Input((*input_size, 3), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255, dtype="float32")(keras.ops.cast(pixels, "float32"))
    return keras.Model(pixels, NETWORKS[plan.network](x, plan.width, plan.weights))


def _compact(x: "keras.KerasTensor", width: float, weights: str) -> "keras.KerasTensor":
    """Five convolutions that halve the image, for training from scratch in minutes."""
    import keras

    layers = keras.layers
    if weights != "none":
        raise UserError("the compact network trains from scratch; pass -P weights=none")
    # the square root spreads the values of a night frame as far as those of a day's: a sensor's
    # noise grows with the root of the light
    x = layers.Rescaling(2, offset=-1)(keras.ops.sqrt(keras.ops.maximum(x, 0)))
    for channels in (16, 32, 48, 64, 96):
        x = layers.Conv2D(int(channels * width), 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    # the average describes the scene, the maximum whether something is anywhere in it
    pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    return layers.Concatenate()(pooled)


def _mobilenet_v2(x: "keras.KerasTensor", width: float, weights: str) -> "keras.KerasTensor":
    import keras

    x = keras.layers.Rescaling(2, offset=-1)(x)
    return _application(keras.applications.MobileNetV2, x, weights, alpha=width)


def _mobilenet_v3_small(x: "keras.KerasTensor", width: float, weights: str) -> "keras.KerasTensor":
    import keras

    x = keras.layers.Rescaling(255)(x)  # it scales pixels itself
    return _application(keras.applications.MobileNetV3Small, x, weights, alpha=width)


def _efficientnet_v2_b0(x: "keras.KerasTensor", width: float, weights: str) -> "keras.KerasTensor":
    import keras

    if width != 1.0:
        raise UserError("EfficientNetV2B0 has one width; pass -P width=1")
    # Its own normalisation by ImageNet's mean and deviation has tensors that tf2onnx takes for
    # inputs of the graph.
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    x = keras.layers.Rescaling(
        scale=[1 / d for d in deviation],
        offset=[-m / d for m, d in zip(mean, deviation, strict=True)],
    )(x)
    return _application(
        keras.applications.EfficientNetV2B0, x, weights, include_preprocessing=False
    )


def _efficientnet_lite0(x: "keras.KerasTensor", width: float, weights: str) -> "keras.KerasTensor":
    if width != 1.0 or weights != "none":
        raise UserError(
            "efficientnet_lite0 has one width and weights of its own; pass -P width=1 "
            "-P weights=none"
        )
    return extract_features(x)


def _application(
    model: "Callable[..., keras.Model]",
    x: "keras.KerasTensor",
    weights: str,
    **options: float | bool,
) -> "keras.KerasTensor":
    """Return the features of one of Keras' networks, ``float32 [N, features]``."""
    source = {"none": None}.get(weights, weights)
    if source not in (None, "imagenet") and not Path(source).is_file():
        raise UserError(
            f"weights {weights!r} are not a file; pass -P weights=<none, imagenet, or a file>"
        )
    try:
        features = model(
            input_shape=x.shape[1:], include_top=False, pooling="avg", weights=source, **options
        )
    # Keras' downloader wraps what urllib raises in a bare Exception: "URL fetch failure on …"
    except Exception as error:
        if source is None or not re.search(
            "URL fetch failure|No such layer|shape|weight|could not be loaded|open file", str(error)
        ):
            raise
        raise UserError(
            f"the weights {weights!r} cannot be loaded or do not fit "
            f"({' '.join(str(error).split())[:160]}); "
            "pass -P weights=none, or weights=<file without its top>"
        ) from error
    return features(x)


NETWORKS: "dict[str, Callable[[keras.KerasTensor, float, str], keras.KerasTensor]]" = {
    "compact": _compact,
    "MobileNetV2": _mobilenet_v2,
    "MobileNetV3Small": _mobilenet_v3_small,
    "EfficientNetV2B0": _efficientnet_v2_b0,
    "efficientnet_lite0": _efficientnet_lite0,
}

FROZEN = ("efficientnet_lite0",)
"""The networks of which only the classifier is trained."""


def sizes(network: str) -> tuple[int, ...]:
    """Return the widths and heights of the images that a network may read, in pixels.

    The first is the smallest, the last the one that it reads if nothing is known of the images. A
    frozen network was trained on photographs, and reads small ones less well; one that is trained
    as a whole would need a training for each.
    """
    return (128, 160, 224) if network in FROZEN else (128,)


def validate_network(network: str) -> str:
    """Return the name of a network if there is one.

    Raises:
        ValueError: no network has this name.
    """
    if network not in NETWORKS:
        raise ValueError(f"{network!r} is not a network; pass one of: {', '.join(NETWORKS)}")
    return network

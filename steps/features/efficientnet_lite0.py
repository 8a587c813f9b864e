"""EfficientNet-Lite0: a frozen network that describes an image by 1,904 features.

Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks"; the
Lite variant has no squeeze-and-excitation and ReLU6 for swish, so that it runs well in int8.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steps.features.weights import Weights, read_weights

if TYPE_CHECKING:
    import keras

BLOCKS = 16
STRIDED = (1, 3, 5, 11)
"""The blocks that halve the image."""

DESCRIBING = (10, 14, 15)
"""The blocks whose averages are features, besides those of the last layer: the last before each
change of size or width, so that textures count beside ImageNet's objects."""

EPSILON = 1e-3
"""Of batch normalisation."""


def extract_features(x: "keras.KerasTensor") -> "keras.KerasTensor":
    """Return the features of images, by the network with its weights of ImageNet.

    Its batch normalisation is folded into its convolutions, and no layer is trainable.

    Args:
        x: ``float32 [N, H, W, 3]``, RGB, 0–1. The network was trained at 224 by 224.

    Returns:
        ``float32 [N, 1904]``, averages over the image.

    Raises:
        UserError: the weights are missing.
    """
    import keras

    layers, weights = keras.layers, read_weights()
    x = layers.Rescaling(255 / 128, offset=-127 / 128)(x)
    x = _convolution(x, weights, "_conv_stem", "_bn0", strides=2)
    averages = []
    for number in range(BLOCKS):
        x = _block(x, weights, number)
        if number in DESCRIBING:
            averages.append(layers.GlobalAveragePooling2D()(x))
    x = _convolution(x, weights, "_conv_head", "_bn1")
    return layers.Concatenate()([*averages, layers.GlobalAveragePooling2D()(x)])


def _block(x: "keras.KerasTensor", weights: Weights, number: int) -> "keras.KerasTensor":
    """Return an inverted residual block: expand, filter each channel, project."""
    import keras

    name, before, strides = f"_blocks.{number}.", x, 2 if number in STRIDED else 1
    if f"{name}_expand_conv.weight" in weights:
        x = _convolution(x, weights, f"{name}_expand_conv", f"{name}_bn0")
    x = _convolution(x, weights, f"{name}_depthwise_conv", f"{name}_bn1", strides)
    x = _convolution(x, weights, f"{name}_project_conv", f"{name}_bn2", activated=False)
    return keras.layers.Add()([before, x]) if before.shape == x.shape else x


def _convolution(
    x: "keras.KerasTensor",
    weights: Weights,
    name: str,
    normalisation: str,
    strides: int = 1,
    activated: bool = True,
) -> "keras.KerasTensor":
    import keras

    kernel, bias = _folded(weights, name, normalisation)
    size = kernel.shape[:2]
    layers = keras.layers
    layer: keras.Layer
    if kernel.shape[2] == 1:
        layer = layers.DepthwiseConv2D(size, strides, padding="same", trainable=False)
        kernel = kernel.swapaxes(2, 3)
    else:
        layer = layers.Conv2D(kernel.shape[3], size, strides, padding="same", trainable=False)
    x = layer(x)
    layer.set_weights([kernel, bias])
    return layers.ReLU(max_value=6)(x) if activated else x


def _folded(
    weights: Weights, name: str, normalisation: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a kernel ``[height, width, in, out]`` and a bias, batch normalisation included."""
    scale, offset, mean, variance = (
        weights[f"{normalisation}.{part}"]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / np.sqrt(variance + EPSILON)
    kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0) * scale
    return kernel, offset - mean * scale

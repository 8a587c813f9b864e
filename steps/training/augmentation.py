"""Augmentation: the changes that a fixed camera sees, drawn for every image while training."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


DRAWN = "3"
"""Raised when a seed draws other changes: the features of augmented copies are kept."""

SHADOWS = 4
"""An image's side divided by this is the size of shadows and patches of sun."""

BYTE_DEVIATION = math.sqrt((256**2 - 1) / 12)
"""The standard deviation of a random byte."""


def build_augmentation(input_size: tuple[int, int], strength: float, seed: int) -> "keras.Model":
    """Build the changes of light, noise and position as a part of the training graph.

    It stands before the network, not in it: the registered and exported network has none of it.
    At strength 1 images are shifted by up to 3 % of the side; the light is multiplied by
    ``exp(normal)`` with a deviation of 0.4 for the image, of 0.25 from place to place (shadows and
    sun, which move with the hours), and of 0.05 for each band (white balance); noise is uniform
    with a deviation of 3 of 255. Brightness and its position then say less about the label.

    Args:
        input_size: (height, width) in pixels.
        strength: multiplies all of these; 0 is none.
        seed: of the random numbers.

    Returns:
        A model from ``uint8 [N, H, W, 3]`` to the same. Call it with ``training=True``; its
        variable is the state of its random numbers.
    """
    import keras

    pixels = keras.Input((*input_size, 3), dtype="uint8")
    if not strength:
        return keras.Model(pixels, pixels)

    class Augmentation(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
        def __init__(self) -> None:
            super().__init__(dtype="float32")
            self.seeds = keras.random.SeedGenerator(seed)

        def call(self, pixels: Any, training: bool = False) -> Any:
            import tensorflow as tf

            if not training:
                return pixels
            x = _shift(pixels, min(0.03 * strength, 1.0), self.seeds)
            x = tf.clip_by_value(x * _light(tf.shape(x), strength, self.seeds), 0, 255)
            x += _noise(x.shape[1:], min(3 * strength, 255.0), tf.shape(x)[0], self.seeds)
            return tf.saturate_cast(tf.round(x), tf.uint8)

    return keras.Model(pixels, Augmentation()(pixels))


def _shift(pixels: "tf.Tensor", most: float, seeds: "keras.random.SeedGenerator") -> "tf.Tensor":
    """Return each image shifted by up to a share of its sides; its border is repeated.

    The crop of a padded image takes half the time of a layer that can turn images as well.
    """
    import keras
    import tensorflow as tf

    side = np.array(pixels.shape[1:3], np.float32)
    border = np.ceil(most * side)
    down, right = border.astype(int)
    x = tf.concat([pixels[:, :1]] * down + [pixels] + [pixels[:, -1:]] * down, axis=1)
    x = tf.concat([x[:, :, :1]] * right + [x] + [x[:, :, -1:]] * right, axis=2)
    count = tf.shape(x)[0]
    begin = border + side * keras.random.uniform((count, 2), -most, most, seed=seeds)
    boxes = tf.concat([begin, begin + side - 1], axis=1) / np.tile(side + 2 * border - 1, 2)
    return tf.image.crop_and_resize(x, boxes, tf.range(count), pixels.shape[1:3])


def _light(shape: "tf.Tensor", strength: float, seeds: "keras.random.SeedGenerator") -> "tf.Tensor":
    """Return the factors of the light ``float32 [N, H, W, 3]``."""
    import keras
    import tensorflow as tf

    count = shape[0]
    drawn = (((SHADOWS, SHADOWS, 1), 0.25), ((1, 1, 1), 0.4), ((1, 1, 3), 0.05))
    logarithm = sum(
        keras.random.normal((count, *of), stddev=min(deviation * strength, 1.0), seed=seeds)
        for of, deviation in drawn
    )
    return tf.image.resize(tf.exp(logarithm), shape[1:3])


def _noise(
    shape: "tf.TensorShape", deviation: float, count: "tf.Tensor", seeds: Any
) -> "tf.Tensor":
    """Return noise for each value of so many images, uniform.

    A number for each value takes three times as long as its bytes for four of them do, and a
    normal one three times as long again: the compact network's first layer sums 27 of them.
    """
    import tensorflow as tf

    values = math.prod(shape)
    drawn = tf.random.stateless_uniform(
        (count, -(-values // 4)), tf.cast(seeds.next(), tf.int32), None, None, tf.int32
    )
    noise = tf.reshape(tf.bitcast(drawn, tf.uint8), (count, -1))[:, :values]
    noise = (tf.cast(noise, tf.float32) - 127.5) * (deviation / BYTE_DEVIATION)
    return tf.reshape(noise, (count, *shape))

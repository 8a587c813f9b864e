"""Augmentation: the changes that a fixed camera sees, drawn for every image while training."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from keras.random import SeedGenerator


DRAWN = "2"
"""Raised when a seed draws other changes: the features of augmented copies are kept."""

SHADOWS = 4
"""An image's side divided by this is the size of shadows and patches of sun."""


def build_augmentation(input_size: tuple[int, int], strength: float, seed: int) -> "keras.Model":
    """Build the changes of light, noise and position as a part of the training graph.

    It stands before the network, not in it: the registered and exported network has none of it.
    At strength 1 images are shifted by up to 3 % of the side; the light is multiplied by
    ``exp(normal)`` with a deviation of 0.4 for the image, of 0.25 from place to place (shadows and
    sun, which move with the hours), and of 0.05 for each band (white balance); noise is uniform
    with a deviation of 3 of 255, which is drawn three times as fast as a normal one. Brightness and
    its position then say less about the label.

    Args:
        input_size: (height, width) in pixels.
        strength: multiplies all of these; 0 is none.
        seed: of the random numbers.

    Returns:
        A model from ``uint8 [N, H, W, 3]`` to the same. Call it with ``training=True``; its
        variables are the states of its random numbers.
    """
    import keras

    pixels = keras.Input((*input_size, 3), dtype="uint8")
    if not strength:
        return keras.Model(pixels, pixels)

    class Augmentation(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
        def __init__(self) -> None:
            super().__init__(dtype="float32")
            self.seeds = [keras.random.SeedGenerator(seed + number) for number in range(5)]

        def call(self, pixels: Any, training: bool = False) -> Any:
            import tensorflow as tf

            if not training:
                return pixels
            most = min(0.03 * strength, 1.0)
            x = _shift(pixels, most, self.seeds[3])
            x = tf.clip_by_value(x * _light(tf.shape(x), strength, self.seeds[:3]), 0, 255)
            most = 3**0.5 * min(3 * strength, 255.0)
            x += keras.random.uniform(tf.shape(x), -most, most, seed=self.seeds[4])
            return tf.saturate_cast(tf.round(x), tf.uint8)

    return keras.Model(pixels, Augmentation()(pixels))


def _shift(pixels: "tf.Tensor", most: float, seeds: "SeedGenerator") -> "tf.Tensor":
    """Return images shifted by up to a share of their sides, ``float32``; the border is repeated.

    A crop of images that have such borders takes a third of the time of Keras' RandomTranslation.
    """
    import keras
    import tensorflow as tf

    count, side = tf.shape(pixels)[0], np.array(pixels.shape[1:3], np.float32)
    down, right = border = (most * side).astype(int) + 1
    x = tf.concat([pixels[:, :1]] * down + [pixels] + [pixels[:, -1:]] * down, axis=1)
    x = tf.concat([x[:, :, :1]] * right + [x] + [x[:, :, -1:]] * right, axis=2)
    shift = [keras.random.uniform((count, 1), -most, most, seed=seeds) for _ in side]
    begin = border - tf.concat(shift, axis=1) * side
    last = np.tile(side + 2 * border - 1, 2)
    boxes = tf.concat([begin, begin + side - 1], axis=1) / last.astype(np.float32)
    return tf.image.crop_and_resize(x, boxes, tf.range(count), pixels.shape[1:3])


def _light(shape: "tf.Tensor", strength: float, seeds: "list[SeedGenerator]") -> "tf.Tensor":
    """Return the factors of each image's light, ``float32 [N, H, W, 3]``."""
    import keras
    import tensorflow as tf

    shadows, exposure, balance = (
        keras.random.normal((shape[0], *size), stddev=min(deviation * strength, 1.0), seed=each)
        for size, deviation, each in zip(
            ((SHADOWS, SHADOWS, 1), (1, 1), (1, 3)), (0.25, 0.4, 0.05), seeds, strict=True
        )
    )
    shadows = tf.reshape(tf.exp(tf.image.resize(shadows, shape[1:3])), (shape[0], -1, 1))
    # a product of matrices: Eigen broadcasts to three bands at a quarter of its speed
    return tf.reshape(shadows @ tf.exp(exposure + balance), shape)

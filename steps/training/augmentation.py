"""What changes before a fixed camera, made up anew for every image while a network trains."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


SHADOWS = 4
"""Shadows and patches of sun are as large as an image's side by this."""


def augmentation(input_size: tuple[int, int], strength: float, seed: int) -> "keras.Model":
    """The light, the sensor's noise, and a few pixels' shift, as a part of the training graph.

    It stands before the network, not in it: what is registered and exported holds none of it.
    At strength 1 images are shifted by up to 3 % of the side; the light is multiplied by
    ``exp(normal)`` with a deviation of 0.4 as a whole, of 0.25 from place to place (shadows and
    sun, which wander with the hours), and of 0.05 for each band (white balance); noise has a
    deviation of 3 of 255. How bright it is, and where, then tells less of the label.

    Args:
        input_size: (height, width) in pixels.
        strength: multiplies all of these; 0 is none.
        seed: of what is made up.

    Returns:
        A model from ``uint8 [N, H, W, 3]`` to the same. Call it with ``training=True``; its
        variables are the states of its random numbers.
    """
    import keras

    layers, ops, exact = keras.layers, keras.ops, {"dtype": "float32"}
    pixels = keras.Input((*input_size, 3), dtype="uint8")
    if not strength:
        return keras.Model(pixels, pixels)

    def noise(x, deviation: float, seed: int):
        deviation = min(deviation * strength, 1.0)
        return layers.GaussianNoise(deviation, seed=seed, **exact)(x)

    x = layers.Rescaling(1 / 255, **exact)(ops.cast(pixels, "float32"))
    none = ops.zeros_like(x[:, :SHADOWS, :SHADOWS, :1])
    shadows = layers.Resizing(*input_size, **exact)(noise(none, 0.25, seed))
    exposure = noise(none[:, :1, :1], 0.4, seed + 1)
    balance = noise(ops.zeros_like(x[:, :1, :1]), 0.05, seed + 2)
    shift = min(0.03 * strength, 1.0)
    x = layers.RandomTranslation(shift, shift, fill_mode="nearest", seed=seed + 3, **exact)(x)
    x = ops.clip(x * ops.exp(shadows + exposure + balance), 0, 1)
    x = noise(x, 3 / 255, seed + 3)
    return keras.Model(pixels, ops.cast(ops.round(ops.clip(x, 0, 1) * 255), "uint8"))

"""Augmentation: the changes that a fixed camera sees, drawn for every image while training."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


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
    with a deviation of 3 of 255. Brightness and its position then say less about the label.

    Args:
        input_size: (height, width) in pixels.
        strength: multiplies all of these; 0 is none.
        seed: of the random numbers.

    Returns:
        A model from ``uint8 [N, H, W, 3]`` to the same. Call it with ``training=True``; its
        variables are the states of its random numbers.
    """
    import keras

    layers, ops = keras.layers, keras.ops
    pixels = keras.Input((*input_size, 3), dtype="uint8")
    if not strength:
        return keras.Model(pixels, pixels)

    def noise(x: keras.KerasTensor, deviation: float, seed: int) -> keras.KerasTensor:
        deviation = min(deviation * strength, 1.0)
        return layers.GaussianNoise(deviation, seed=seed, dtype="float32")(x)

    x = layers.Rescaling(1 / 255, dtype="float32")(ops.cast(pixels, "float32"))
    none = ops.zeros_like(x[:, :SHADOWS, :SHADOWS, :1])
    shadows = layers.Resizing(*input_size, dtype="float32")(noise(none, 0.25, seed))
    exposure = noise(none[:, :1, :1], 0.4, seed + 1)
    balance = noise(ops.zeros_like(x[:, :1, :1]), 0.05, seed + 2)
    shift = min(0.03 * strength, 1.0)
    x = layers.RandomTranslation(shift, shift, fill_mode="nearest", seed=seed + 3, dtype="float32")(
        x
    )
    x = ops.clip(x * ops.exp(shadows) * ops.exp(exposure + balance), 0, 1)
    x = _uniform_noise(min(3 / 255 * strength, 1.0), seed + 4)(x)
    return keras.Model(pixels, ops.cast(ops.round(ops.clip(x, 0, 1) * 255), "uint8"))


def _uniform_noise(deviation: float, seed: int) -> "keras.Layer":
    """Return a layer that adds noise to each value of ``float32``, when training.

    A normal number takes three times as long as a uniform one: a sixth of a training step of the
    compact network, whose first layer sums 27 of them.
    """
    import keras

    class UniformNoise(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
        def __init__(self) -> None:
            super().__init__(dtype="float32")
            self.seed_generator = keras.random.SeedGenerator(seed)

        def call(self, values: Any, training: bool = False) -> Any:
            if not training:
                return values
            most, shape = 3**0.5 * deviation, keras.ops.shape(values)
            return values + keras.random.uniform(shape, -most, most, seed=self.seed_generator)

    return UniformNoise()

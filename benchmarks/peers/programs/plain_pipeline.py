"""What a user writes to get from a folder of images to an ONNX model, with Keras alone.

python plain_pipeline.py <folder of name_LABEL.jpg> <model.onnx> <trials> <epochs> <epochs in all>
"""

import hashlib
import random
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from PIL import Image

SIDE = 128


def load(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (SIDE, SIDE))
            pixels.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE))))
    return np.stack(pixels), np.array([int(path.stem[-1]) for path in paths])


def build() -> keras.Model:
    layers = keras.layers
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    x = layers.RandomBrightness(0.2)(keras.ops.cast(pixels, "float32"))
    x = layers.RandomContrast(0.2)(x)
    x = layers.Rescaling(2 / 255, offset=-1)(x)
    for channels in (16, 32, 48, 64, 96):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    x = layers.Dropout(0.1)(layers.Concatenate()(pooled))
    return keras.Model(pixels, layers.Dense(2, activation="softmax")(x))


def train(rate: float, epochs: int, fitted, validation) -> tuple[float, keras.Model]:
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    best = keras.callbacks.EarlyStopping("val_loss", patience=15, restore_best_weights=True)
    history = model.fit(
        *fitted, batch_size=16, epochs=epochs, validation_data=validation, callbacks=[best]
    )
    return min(history.history["val_loss"]), model


if __name__ == "__main__":
    folder, target, trials, trial_epochs, epochs = sys.argv[1:]
    keras.utils.set_random_seed(0)
    parts: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for path in sorted(Path(folder).glob("*.jpg")):
        share = int(hashlib.md5(path.name.encode()).hexdigest(), 16) % 100
        part = "train" if share < 70 else "validation" if share < 80 else "test"
        parts[part].append(path)
    fitted, validation, test = (load(paths) for paths in parts.values())
    tried = []
    for _ in range(int(trials)):
        rate = 10 ** random.uniform(-3, -2.2)
        tried.append((train(rate, int(trial_epochs), fitted, validation)[0], rate))
    _, model = train(min(tried)[1], int(epochs), fitted, validation)
    print("test accuracy", model.evaluate(*test)[1])
    signature = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8, name="pixels")]
    tf2onnx.convert.from_keras(model, signature, output_path=target)

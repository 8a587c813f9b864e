"""What a user writes to feed Keras from TFRecord: tf.data, as its guide recommends.

python tfrecord_epochs.py <folder with pixels.npy and labels.npy> <images a batch> <epochs>

The last line is the median of the seconds of an epoch, without the first one, which fills caches.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

FILES = 12


def write(folder: Path) -> None:
    pixels, labels = np.load(folder / "pixels.npy"), np.load(folder / "labels.npy")
    for number in range(FILES):
        with tf.io.TFRecordWriter(str(folder / f"{number}.tfrecord")) as file:
            for image, label in zip(pixels[number::FILES], labels[number::FILES], strict=True):
                content = tf.train.BytesList(value=[image.tobytes()])
                number_of = tf.train.Int64List(value=[int(label)])
                features = {
                    "pixels": tf.train.Feature(bytes_list=content),
                    "label": tf.train.Feature(int64_list=number_of),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                file.write(example.SerializeToString())


def read(folder: Path, side: int, batch: int) -> tf.data.Dataset:
    described = {
        "pixels": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(examples):
        found = tf.io.parse_example(examples, described)
        pixels = tf.io.decode_raw(found["pixels"], tf.uint8)
        return tf.reshape(pixels, (-1, side, side, 3)), found["label"]

    files = tf.data.Dataset.list_files(str(folder / "*.tfrecord"), shuffle=True)
    records = files.interleave(
        tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False
    )
    batches = records.shuffle(1000).batch(batch)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    folder, batch, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if not (folder / "0.tfrecord").exists():
        write(folder)
    dataset = read(folder, np.load(folder / "pixels.npy", mmap_mode="r").shape[1], batch)
    seconds = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        for pixels, labels in dataset:
            pixels.numpy(), labels.numpy()
        seconds.append(time.perf_counter() - started)
    print(statistics.median(seconds[1:]))

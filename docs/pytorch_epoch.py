"""The same cache read by PyTorch: count the labels of an epoch.

    pip install torch
    python docs/pytorch_epoch.py data/cache/<name> [batch size]

A folder of the cache holds ``manifest.json``, which names the labels and the size of the pictures.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def batches(folder: Path, part: str, batch_size: int, seed: int = 1) -> Iterator[dict]:
    """An epoch of a part: ``pixels`` float32 [N, 3, H, W] of 0–1, and ``label`` int [N].

    The last batch may be smaller; the row groups are shuffled by the seed, which is not 0.
    """
    from petastorm import TransformSpec, make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

    cache = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    height, width = cache["input_size"]

    def to_planes(frame):
        frame["pixels"] = [
            np.frombuffer(pixels, np.uint8).reshape(height, width, 3).transpose(2, 0, 1) / 255
            for pixels in frame["pixels"]
        ]
        frame["pixels"] = [planes.astype(np.float32).ravel() for planes in frame["pixels"]]
        return frame[["pixels", "label"]]

    spec = TransformSpec(
        to_planes,
        edit_fields=[("pixels", np.float32, (3 * height * width,), False)],
        selected_fields=["pixels", "label"],
    )
    reader = make_batch_reader(
        f"file://{Path(cache['url']).resolve()}/part={part}",
        schema_fields=["pixels", "label"],
        transform_spec=spec,
        num_epochs=1,
        seed=seed,
        workers_count=1,
    )
    with BatchedDataLoader(reader, batch_size=batch_size) as loader:
        for batch in loader:
            yield {
                "pixels": batch["pixels"].reshape(-1, 3, height, width),
                "label": batch["label"],
            }


if __name__ == "__main__":
    counts: dict[int, int] = {}
    for batch in batches(Path(sys.argv[1]), "train", int((sys.argv + ["16"])[2])):
        for label in batch["label"].tolist():
            counts[label] = counts.get(label, 0) + 1
    print(counts)

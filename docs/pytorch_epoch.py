"""Read the training cache with PyTorch: train a small network for an epoch.

    pip install torch
    python docs/pytorch_epoch.py data/cache/<name> [batch size]

``tune`` or ``train`` fills the cache. Its folder has a file ``manifest.json`` with the labels, the
size of the images, and the rows of each row group.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from petastorm import TransformSpec, make_batch_reader
from petastorm.pytorch import BatchedDataLoader


def batches(folder: Path, split: str, batch_size: int, seed: int = 1) -> Iterator[dict]:
    """Yield an epoch of a split: ``pixels`` float32 [N, 3, H, W] of 0–1, and ``label`` int [N].

    The last batch may be smaller. The seed shuffles row groups and the rows within them. It must
    not be 0, which is no seed to Petastorm.
    """
    cache = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    height, width = cache["input_size"]

    def to_arrays(frame):
        frame["pixels"] = [np.frombuffer(pixels, np.uint8) for pixels in frame["pixels"]]
        return frame[["pixels", "label"]]

    reader = make_batch_reader(
        f"file://{Path(cache['url']).resolve()}/split={split}",
        schema_fields=["pixels", "label"],
        transform_spec=TransformSpec(
            to_arrays,
            edit_fields=[("pixels", np.uint8, (height * width * 3,), False)],
            selected_fields=["pixels", "label"],
        ),
        shuffle_rows=True,
        seed=seed,
        workers_count=1,
        # Endless, and stopped by counting: Petastorm 0.13.1 can end an epoch while the last row
        # group is still on its way.
        num_epochs=None,
    )
    left = sum(cache["group_rows"][split])
    with BatchedDataLoader(reader, batch_size=batch_size, transform_fn=torch.tensor) as loader:
        for batch in loader:
            pixels = batch["pixels"][:left].reshape(-1, height, width, 3)
            yield {
                "pixels": pixels.permute(0, 3, 1, 2).float() / 255,
                "label": batch["label"][:left].long(),
            }
            left -= len(pixels)
            if not left:
                return


def train_an_epoch(folder: Path, batch_size: int) -> float:
    """Train a small network for an epoch; return its mean loss."""
    torch.manual_seed(0)
    labels = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["labels"]
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, len(labels)),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    total, count = 0.0, 0
    for batch in batches(folder, "train", batch_size):
        loss = torch.nn.functional.cross_entropy(network(batch["pixels"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, count = total + loss.item() * len(batch["label"]), count + len(batch["label"])
    print(f"{count} images, mean loss {total / count:.4f}")
    return total / count


if __name__ == "__main__":
    train_an_epoch(Path(sys.argv[1]), int([*sys.argv, "16"][2]))

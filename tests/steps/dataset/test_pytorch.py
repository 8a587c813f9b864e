"""The cache read by PyTorch, if it is in .venv or Debian's is built for the same Python."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from debian_torch import python_with_torch
from small_cache import bright_or_not, numbered, write_cache

from steps.settings.profile import PROJECT

EPOCHS = """
import importlib.util, json, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
for seed in (1, 1, 2):
    for batch in example.batches(Path(sys.argv[2]), "train", 8, seed):
        pixels = (batch["pixels"] * 255).round().int()
        print(json.dumps({
            "type": str(batch["pixels"].dtype), "shape": list(batch["pixels"].shape),
            "corners": pixels[:, :, 0, 0].tolist(), "sums": pixels.sum((1, 2, 3)).tolist(),
            "labels": batch["label"].tolist(), "seed": seed}))
    print("null")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs Python with PyTorch; returns what it printed."""
    place = tmp_path_factory.mktemp("torch")
    return python_with_torch(place, "the cache is NOT tested with it")


def _write(folder: Path, *arguments, **options) -> Path:
    cache = write_cache(folder, *arguments, **options)
    (folder / "manifest.json").write_text(json.dumps(asdict(cache)), encoding="utf-8")
    return folder


EXAMPLE = str(PROJECT / "docs" / "pytorch_epoch.py")


@pytest.mark.slow
def test_an_epoch_holds_each_image_once_as_planes(tmp_path: Path, run):
    folder = _write(tmp_path / "cache", {"train": [5] * 11 + [4]}, size=(4, 6), labels=tuple("abc"))
    epochs: list[list[int]] = [[]]
    for line in run("-c", EPOCHS, EXAMPLE, str(folder)).splitlines():
        batch = json.loads(line)
        if batch is None:
            epochs.append([])
            continue
        assert batch["type"] == "torch.float32" and batch["shape"][1:] == [3, 4, 6]
        assert batch["shape"][0] == len(batch["labels"]) <= 8
        for (low, high, mark), total, label in zip(
            batch["corners"], batch["sums"], batch["labels"], strict=True
        ):
            number = low + 256 * high
            expected, class_ = numbered(number, (4, 6), 3)
            assert (mark, total, label) == (7, expected.sum(), class_)
            epochs[-1].append(number)
    first, again, other, rest = epochs
    assert rest == []
    assert sorted(first) == sorted(other) == list(range(59))
    assert first == again != other


@pytest.mark.slow
def test_the_example_learns(tmp_path: Path, run):
    folder = _write(tmp_path / "cache", {"train": [40] * 12}, size=(32, 32), draw=bright_or_not)
    count, _, _, _, loss = run(EXAMPLE, str(folder), "8").split()
    assert count == "480"
    assert float(loss) < 0.6  # a guess is 0.69

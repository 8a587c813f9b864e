"""The cache as PyTorch reads it, where PyTorch is installed: pip install torch."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from small_cache import numbered, write_cache

from steps.settings.profile import PROJECT

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed, so NOTHING is known of the cache under it"
)


@pytest.fixture
def batches():
    """The example's function."""
    spec = importlib.util.spec_from_file_location("example", PROJECT / "docs" / "pytorch_epoch.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example.batches


def test_an_epoch_holds_each_picture_once_as_planes(tmp_path: Path, batches):
    folder = tmp_path / "cache"
    cache = write_cache(folder, {"train": [5] * 11 + [4]}, size=(4, 6), labels=tuple("abc"))
    (folder / "manifest.json").write_text(json.dumps(asdict(cache)), encoding="utf-8")
    seen = []
    for batch in batches(folder, "train", 8):
        assert batch["pixels"].dtype == torch.float32 and batch["pixels"].shape[1:] == (3, 4, 6)
        assert len(batch["label"]) == len(batch["pixels"]) <= 8
        for planes, label in zip(batch["pixels"].numpy(), batch["label"].tolist(), strict=True):
            number = round(planes[0, 0, 0] * 255) + 256 * round(planes[1, 0, 0] * 255)
            expected, class_ = numbered(number, (4, 6), 3)
            np.testing.assert_allclose(planes.transpose(1, 2, 0) * 255, expected, atol=1e-3)
            assert label == class_
            seen.append(number)
    assert sorted(seen) == list(range(59))

"""What ingest keeps of a file that a privacy mask is for."""

import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from drawing import encoded, file_name
from PIL import Image
from small_lake import make_small_lake

from edge.inference.region import Region
from edge.protocol.privacy import blacken_file

MASKS = {"1": [Region(0, 0, 0.5, 1)]}
MASKED, OTHER, ALREADY, DAMAGED = (
    *(file_name(minute=1, device="1"), file_name(minute=2, device="2")),
    *(file_name(minute=3, device="1"), file_name(minute=4, device="1")),
)


def noise(seed: int) -> bytes:
    """A JPEG, of which each part of the file depends on the pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    return encoded(Image.fromarray(pixels), quality=95)


FILES = {
    MASKED: noise(1),
    OTHER: noise(2),
    ALREADY: blacken_file(noise(3), MASKS["1"]),
    DAMAGED: noise(4)[:-900],
}


@pytest.mark.slow
def test_no_byte_below_a_mask_is_in_the_lake_and_no_image_is_written_twice(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put(FILES)
    assert small.ingest(privacy_masks=MASKS) == 4
    images = small.table("images").set_index("name")
    expected = blacken_file(FILES[MASKED], MASKS["1"])
    for name, content in ((MASKED, expected), (OTHER, FILES[OTHER]), (ALREADY, FILES[ALREADY])):
        assert images.content[name] == content
        assert images.sha256[name] == sha256(content).hexdigest()
        assert images.bytes[name] == len(FILES[name])  # by which the file is known again
    assert images.statistics[MASKED][0]["mean"] < 80 < images.statistics[OTHER][0]["mean"]
    (damaged,) = small.table("quarantine").itertuples()
    assert (damaged.name, damaged.reason) == (DAMAGED, "truncated")
    assert damaged.content is None and damaged.sha256 is None
    stored = b"".join(p.read_bytes() for p in Path(small.profile.lake).rglob("*") if p.is_file())
    for name, is_there in ((MASKED, False), (DAMAGED, False), (OTHER, True), (ALREADY, True)):
        assert (FILES[name][700:740] in stored) == is_there

    versions = small.versions()
    os.utime(small.zone / MASKED, (1_790_000_000,) * 2)  # the same bytes, copied again
    assert small.ingest(privacy_masks=MASKS) == 0
    shutil.rmtree(Path(small.profile.lake) / "_ingest")
    assert small.ingest(privacy_masks=MASKS) == 0  # what was noted is known from the tables
    assert len(small.table("images")) == 3 and small.versions()["images"] == versions["images"]

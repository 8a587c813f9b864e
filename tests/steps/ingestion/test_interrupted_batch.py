"""Chunks that are processed once more, since the mark that they are done was never written."""

from pathlib import Path

import pytest
from drawing import file_name, jpeg
from small_lake import make_small_lake

from steps.landing.arrivals import Arrivals

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("content", [jpeg(3), jpeg(3)[:300]], ids=["image", "malformed"])
def test_a_chunk_that_is_read_again_is_known_by_its_name(lake, tmp_path, content):
    small = make_small_lake(lake, tmp_path)
    done = Path(Arrivals(small.profile, small.source).home, "done")
    names = [file_name(hour=hour) for hour in range(3)]
    for name, bytes_ in zip(names, (jpeg(1), jpeg(2), content), strict=True):
        done.unlink(missing_ok=True)
        small.put({name: bytes_})
        small.ingest()
    taken = [*small.table("images")["name"], *small.table("quarantine")["name"]]
    assert sorted(taken) == names

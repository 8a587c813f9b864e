"""A start that is interrupted after Spark has listed a chunk and before it begins the batch."""

from pathlib import Path

import pytest
from drawing import file_name, jpeg
from small_lake import make_small_lake

from steps.landing.arrivals import Arrivals

pytestmark = pytest.mark.slow


def _interrupt_before_the_last_batch(checkpoint: Path) -> None:
    """What a kill between Spark's two writes leaves: a chunk in the list, and no batch of it."""
    last = max((checkpoint / "offsets").glob("[0-9]*"), key=lambda path: int(path.name)).name
    for folder in ("offsets", "commits"):
        for name in (last, f".{last}.crc"):
            (checkpoint / folder / name).unlink(missing_ok=True)
    assert (checkpoint / "sources" / "0" / last).exists()


@pytest.mark.parametrize("content", [jpeg(3), jpeg(3)[:300]], ids=["image", "malformed"])
def test_two_chunks_in_one_batch_keep_a_transaction_each(lake, tmp_path, content):
    small = make_small_lake(lake, tmp_path)
    checkpoint = Path(Arrivals(small.profile, small.source).checkpoint)
    names = [file_name(hour=hour) for hour in range(3)]
    for name, bytes_ in zip(names[:2], (jpeg(1), jpeg(2)), strict=True):
        small.put({name: bytes_})
        small.ingest()
    _interrupt_before_the_last_batch(checkpoint)
    small.put({names[2]: content})
    small.ingest()

    def taken() -> list[str]:
        return sorted([*small.table("images")["name"], *small.table("quarantine")["name"]])

    assert taken() == names
    # each chunk is read once more, and known by its own name
    checkpoint.rename(checkpoint.with_name("lost"))
    small.ingest()
    assert taken() == names

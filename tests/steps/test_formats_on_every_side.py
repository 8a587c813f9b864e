"""Ingest, training, Spark, REST and the device read the same files, and refuse the same ones.

`CASES=10000 make prove ARGS="-k every_side"` damages more JPEGs than a few hundred.
"""

import os
from collections.abc import Callable

import pytest
from drawing import drawn, encoded
from hypothesis import given, settings
from hypothesis import strategies as some
from mlflow.exceptions import MlflowException
from odd_images import INCOMPLETE, INTACT, NOT_ASKED_FOR
from tiny_model import write_model

from edge.cameras.camera import CameraSettings
from edge.cameras.errors import CameraError
from edge.cameras.folder import FolderCamera
from edge.inference.errors import UnreadableError
from edge.inference.scoring import Scorer
from steps.ingestion.image_metadata import describe
from steps.release.pyfunc_model import ImageScorer
from steps.scoring.worker import _score

CASES = int(os.environ.get("CASES", "300"))
REASONS = {None, "not an image", "truncated", "damaged", "decompression bomb", "empty"}


@pytest.fixture(scope="module")
def sides(tmp_path_factory) -> dict[str, Callable[[bytes], str | None]]:
    """What each side says of a file: nothing, or the first words of its reason."""
    scorer = Scorer(write_model(tmp_path_factory.mktemp("model")), threads=1)
    folder, rest = tmp_path_factory.mktemp("camera"), ImageScorer()
    rest._scorer = scorer

    def camera(content: bytes) -> None:
        (folder / "a.jpg").write_bytes(content)
        list(FolderCamera(CameraSettings(source=str(folder))).frames(1))

    def spark(content: bytes) -> None:
        (row,) = _score(scorer, [{"path": "a.jpg", "device_id": None, "content": content}])
        if "reason" in row:
            raise UnreadableError(row["reason"])

    def reason_of(read: Callable[[bytes], object], content: bytes) -> str | None:
        try:
            read(content)
        except (UnreadableError, CameraError, MlflowException) as error:
            return next(reason for reason in REASONS if reason and reason in str(error))
        return None

    reads = {
        "ingest": describe,
        "ingest, sampled": lambda content: describe(content, "sampled"),
        "score": lambda content: scorer.predict([content]),
        "Spark": spark,
        "REST": lambda content: rest.rows([content], [None]),
        "camera": camera,
    }
    return {
        side: lambda content, read=read: reason_of(read, content) for side, read in reads.items()
    }


FILES = {
    **{name: (content, None) for name, content in INTACT.items()},
    **{name: (content, "truncated") for name, (content, _) in INCOMPLETE.items()},
    **{name: (content, "not an image") for name, content in NOT_ASKED_FOR.items()},
}


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES)
def test_every_side_says_the_same(sides, content, reason):
    assert {side: say(content) for side, say in sides.items()} == dict.fromkeys(sides, reason)


SMALL = [
    encoded(drawn(1, mode).resize((97, 129)), quality=90, **options)
    for mode, options in (
        ("RGB", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"restart_marker_rows": 1}),
        ("RGB", {"subsampling": 0, "optimize": True}),
        ("L", {}),
        ("CMYK", {}),
        ("L", {"progressive": True, "restart_marker_blocks": 3}),
    )
]
shares = some.floats(0, 1)
a_byte = some.integers(0, 255)


def _at(content: bytes, share: float, begin: int = 2) -> int:
    return begin + round(share * max(0, len(content) - begin))


def _cut(content: bytes, share: float, end: bytes) -> bytes:
    return content[: _at(content, share)] + end


def _without(content: bytes, share: float, length: int) -> bytes:
    return content[: _at(content, share)] + content[_at(content, share) + length :]


def _twice(content: bytes, share: float, length: int) -> bytes:
    return content[: _at(content, share)] + content[max(0, _at(content, share) - length) :]


def _replaced(content: bytes, share: float, new: bytes) -> bytes:
    return content[: _at(content, share)] + new + content[_at(content, share) + len(new) :]


def _header(content: bytes, share: float, new: bytes) -> bytes:
    return _replaced(content, share * content.find(b"\xff\xda") / len(content), new)


damages = some.one_of(
    some.tuples(
        some.just(_cut), shares, some.sampled_from([b"", b"\xff\xd9", bytes(999), b"\xff\xff\xd9"])
    ),
    some.tuples(some.sampled_from([_without, _twice]), shares, some.integers(1, 400)),
    some.tuples(
        some.sampled_from([_replaced, _header]),
        shares,
        some.one_of(
            some.binary(min_size=1, max_size=4), a_byte.map(lambda code: bytes((255, code)))
        ),
    ),
)


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.filterwarnings("ignore:.*(EXIF|Read|MPO):UserWarning")
@settings(max_examples=CASES, deadline=None, derandomize=True, database=None)
@given(content=some.sampled_from(SMALL), damages=some.lists(damages, min_size=1, max_size=3))
def test_every_side_says_the_same_of_a_damaged_jpeg(sides, content, damages):
    for damage, *arguments in damages:
        content = damage(content, *arguments)
    said = {side: say(content) for side, say in sides.items()}
    assert len(set(said.values())) == 1 and set(said.values()) <= REASONS


@pytest.mark.slow
@pytest.mark.proof
@settings(max_examples=CASES, deadline=None, derandomize=True, database=None)
@given(
    content=some.sampled_from(SMALL),
    share=some.floats(0.05, 0.95),
    end=some.sampled_from([b"", b"\xff\xd9", bytes(999), b"\xff\xd9GPS"]),
)
def test_no_side_takes_a_jpeg_that_is_cut(sides, content, share, end):
    begin = content.index(b"\xff\xda") + 14
    cut = content[: _at(content, share, begin)] + end
    # in the header of a later scan it may be another header
    assert {say(cut) for say in sides.values()} in ({"truncated"}, {"damaged"})

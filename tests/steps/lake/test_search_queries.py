"""The queries of docs/search.md, run as they stand there."""

import re

import numpy as np
import pytest
from drawing import encoded, file_name
from PIL import Image, ImageFilter

from steps.lake.arrivals import Limits
from steps.lake.labels import merge_labels
from steps.lake.landing import look
from steps.lake.rows import Rules
from steps.lake.stream import take_in
from steps.settings.profile import PROJECT

pytestmark = pytest.mark.slow

SIZE = (320, 240)
DARK = file_name(day=13, hour=23)
BRIGHT = file_name(day=14, hour=2, minute=1)
BLURRED = file_name(day=14, hour=2, minute=2)
RELABELLED = file_name(day=14, hour=2, minute=3)
PLAIN = [file_name(day=14, hour=2, minute=minute) for minute in range(4, 8)]


def noise(seed: int) -> Image.Image:
    """A picture with detail everywhere, as a sharp photograph has it."""
    values = np.random.default_rng(seed).integers(0, 200, (SIZE[1], SIZE[0], 3), np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def answers(lake, tmp_path_factory):
    """The rows that each query gives, by the heading it stands under."""
    home = tmp_path_factory.mktemp("search")
    zone, profile = home / "landing", lake.fresh(home)
    zone.mkdir()
    noisy = {name: noise(seed) for seed, name in enumerate([*PLAIN, RELABELLED])}
    noisy[DARK] = noise(51).point(lambda value: value // 8)
    noisy[BRIGHT] = noise(52).point(lambda value: min(255, value * 3))
    noisy[BLURRED] = noise(53).filter(ImageFilter.GaussianBlur(9))
    for name, picture in noisy.items():
        (zone / name).write_bytes(encoded(picture))
    landing = look(str(zone))
    rules = Rules(source=landing.source, pattern=profile.file_name)
    take_in(lake.spark, profile, landing.files, rules, Limits(100, 10**9))
    labels = home / "labels.csv"
    labels.write_text(f"file_name,label\n{RELABELLED},1\n")
    merge_labels(lake.spark, profile, landing.source, str(labels), "file_name")
    page = (PROJECT / "docs" / "search.md").read_text(encoding="utf-8")
    queries = re.findall(r"^\*\*(.+?)\.\*\*.*?```sql\n(.+?)```", page, flags=re.M | re.S)
    return {
        heading: lake.spark.sql(query.replace("data/lake", profile.lake)).collect()
        for heading, query in queries
    }


def names(rows) -> set[str]:
    return {row["path"].rpartition("/")[2] for row in rows}


def test_dark_pictures_are_counted_by_device_and_hour(answers):
    assert [tuple(row) for row in answers["Dark pictures by device and hour"]] == [("1", 23, 1)]


def test_overexposed_and_blurred_pictures_are_found(answers):
    assert names(answers["Overexposed ones"]) == {BRIGHT}
    assert names(answers["Blurred ones"]) == {BLURRED}


def test_a_day_comes_in_order(answers):
    rows = answers["All of a day"]
    assert names(rows) == {BRIGHT, BLURRED, RELABELLED, *PLAIN}
    assert [row["captured_at"] for row in rows] == sorted(row["captured_at"] for row in rows)


def test_a_new_label_is_a_change_between_versions(answers):
    (change,) = answers["What changed between two versions"]
    assert (change["label_before"], change["label_now"]) == ("0", "1")
    assert names([change]) == {RELABELLED}

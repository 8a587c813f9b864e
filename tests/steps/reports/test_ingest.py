"""The bars and samples on the report of an ingest."""

import io
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from steps.reports.ingest import LABELS_SHOWN, OTHERS, _bars, _merge_rare_labels, _sample


def _counts(labels: int) -> pd.DataFrame:
    """The later a label, the fewer images it has."""
    rows = [
        {"label": f"a long name {number:02}", "hour": hour, "images": 2 * labels - number}
        for number in range(labels)
        for hour in (0, 13, 23)
    ]
    return pd.DataFrame(rows)


def _draw(counts: pd.DataFrame) -> ElementTree.Element:
    return ElementTree.fromstring(_bars(counts, "hour", range(24), "hour (UTC)"))


@pytest.mark.parametrize("labels", [1, LABELS_SHOWN, LABELS_SHOWN + 1, 60])
def test_the_bars_have_the_most_frequent_labels_and_every_image(labels):
    counts = _counts(labels)
    shown = _merge_rare_labels(counts)
    assert shown["images"].sum() == counts["images"].sum()
    names = sorted(shown["label"].unique())
    if labels <= LABELS_SHOWN:
        assert names == sorted(counts["label"].unique())
    else:
        assert names == [OTHERS, *(f"a long name {n:02}" for n in range(LABELS_SHOWN - 1))]
    titles = [title.text for title in _draw(shown).iter("title")]
    drawn = sum(int(re.search(r": (\d+)$", title)[1]) for title in titles)
    assert drawn == counts["images"].sum() and len(titles) == 3 * len(names)


@pytest.mark.parametrize("labels", [2, 60])
def test_bars_stand_on_each_other_and_none_on_the_legend(labels):
    rows = [rect.attrib for rect in _draw(_merge_rare_labels(_counts(labels))).iter("rect")]
    bars = [{key: float(row[key]) for key in ("x", "y", "width", "height")} for row in rows]
    legend, tops = min(bar["x"] for bar in bars if bar["width"] == 11), {}
    for bar in bars:
        if bar["width"] != 11:
            assert bar["x"] + bar["width"] <= legend and bar["y"] >= 10
            foot = tops.get(bar["x"], 160.0)
            assert bar["y"] + bar["height"] == pytest.approx(foot, abs=0.2)
            tops[bar["x"]] = bar["y"]
    assert min(tops.values()) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("label", ["$$", "<b>", "_hidden", "a & b"])
def test_any_folder_name_can_be_a_label(label):
    drawn = _draw(pd.DataFrame([{"label": label, "hour": 3, "images": 2}]))
    assert label in [text.text for text in drawn.iter("text")]


@pytest.mark.parametrize(
    ("mode", "size", "shown"),
    [
        ("CMYK", (4000, 3000), (160, 120)),
        ("RGB", (4000, 3000), (160, 120)),
        ("RGB", (33, 31), (33, 31)),
        ("L", (160, 160), (160, 160)),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_samples_are_held_no_larger_than_they_are_shown(mode, size, shown, format):
    photo = io.BytesIO()
    Image.new(mode, size, 90).save(photo, format)
    sample = _sample(photo.getvalue())
    assert (sample.size, sample.mode) == (shown, "RGB")
    assert sample.getpixel((0, 0)) != (0, 0, 0)

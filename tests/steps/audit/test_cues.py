"""Shortcuts that were planted are found, and clean sets have none.

`CASES=50 make test ARGS="-k shortcuts"` tries more sets.
"""

import os

import numpy as np
import pandas as pd
import pytest
from made_images import PLANTED, make_images, plant

from steps.audit.cues import Cue, find_cues
from steps.audit.images import OUTSIDE

CASES = int(os.environ.get("CASES", "5"))


def _shortcuts(images: pd.DataFrame) -> list[str]:
    return [cue.kind for cue in find_cues(images) if cue.is_shortcut]


def test_clean_sets_have_no_shortcuts():
    alarms = sum(bool(_shortcuts(make_images(seed))) for seed in range(CASES))
    assert alarms <= 0.06 * CASES


def test_planted_shortcuts_are_found():
    cases = [(kind, seed) for seed in range(max(1, CASES // 5)) for kind in PLANTED]
    found = [kind in _shortcuts(plant(kind, make_images(seed), seed)) for kind, seed in cases]
    assert sum(found) >= 0.96 * len(cases)


@pytest.mark.parametrize("count", [12, 30])
def test_few_images_have_shortcuts_only_if_they_are_certain(count):
    images = make_images(1).iloc[:: 600 // count]
    assert not _shortcuts(images)
    assert ("device" in _shortcuts(plant("device", images, 0, exceptions=0))) == (count > 12)


def test_a_cue_predicts_images_that_it_has_not_seen():
    (device, *_) = find_cues(plant("device", make_images(2), 2, exceptions=0.1))
    assert device.kind == "device" and 0.85 < device.predictability < 0.95
    assert device.chance == 0.5 and device.p_value == 0.001
    assert len(device.predicted) == 600


def test_of_three_labels_chance_is_a_third():
    cues = find_cues(make_images(3, labels=3))
    assert {cue.chance for cue in cues} == {1 / 3}
    assert not any(cue.is_shortcut for cue in cues)


def test_a_name_is_no_shortcut_and_neither_is_what_each_image_has_of_its_own():
    images = make_images(4)
    names = images["label"].str[-1] + "_#.jpg"
    (name,) = (cue for cue in find_cues(images.assign(name=names)) if cue.kind == "file name")
    assert name.predictability == pytest.approx(1) and not name.is_shortcut
    own = [f"cam{number}" for number in range(len(images))]
    assert "device" not in {cue.kind for cue in find_cues(images.assign(device=own))}


def test_the_area_outside_a_region_predicts_labels_and_is_no_shortcut():
    images, rng = make_images(7), np.random.default_rng(7)
    light = rng.integers(0, 255, (len(images), len(OUTSIDE)))
    lamp = np.where(images["label"] == "label 0", 40, 200)
    for planted in (False, True):
        cells = dict(zip(OUTSIDE, light.T, strict=True)) | ({OUTSIDE[5]: lamp} if planted else {})
        (cue,) = (
            cue for cue in find_cues(images.assign(**cells)) if cue.kind.startswith("area outside")
        )
        assert (cue.predictability > 0.95) == planted and not cue.is_shortcut


def test_two_images_of_each_split_have_no_shortcuts():
    labels = ["label 0", "label 1"] * 3
    assert not _shortcuts(make_images(5).iloc[:6].assign(label=labels, device=labels))


def test_what_is_not_known_of_any_image_is_no_cue():
    unknown = dict.fromkeys(("day", "hour", "device", "iso", "jpeg_step"))
    kinds = {cue.kind for cue in find_cues(make_images(6).assign(**unknown))}
    assert kinds == {"brightness", "corner pixels", "image size", "compression", "EXIF"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"0": ["2026-07-13"], "1": ["2026-07-15", "2026-07-16"]},
            "Label and day coincide: every 0 is from 2026-07-13 and every 1 is from 2026-07-15, "
            "2026-07-16.",
        ),
        (
            {"0": ["2026-07-13"], "1": ["2026-07-13"]},
            "By the day alone, 93% of the labels are predicted (their mean).",
        ),
    ],
)
def test_the_sentence_of_a_shortcut(values, sentence):
    cue = Cue("day", 0.93, 0.5, 0.001, pd.Series(dtype=str), values)
    assert cue.is_shortcut and cue.sentence == sentence
    assert np.isclose(cue.chance, 0.5)

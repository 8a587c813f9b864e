"""The plan of a cache: classes, splits and row groups; and its name."""

import os
from contextlib import nullcontext
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from steps.dataset import cache as caches
from steps.dataset.cache import Cache, cache_name
from steps.dataset.cache_filling import find_or_make
from steps.dataset.cache_plan import GROUPS, ROWS_PER_GROUP, plan_cache
from steps.dataset.split import GUARD, SPLITS, SplitRule
from steps.errors import UserError
from steps.pipeline.outputs import Selection
from steps.settings.profile import load_profile

SELECTION = Selection(
    table="/lake/images",
    version=3,
    source="file:/landing",
    input_size=(16, 24),
    block_minutes=10,
    guard_minutes=1,
    split_seed=0,
)
OTHER = {
    "table": "/lake/others",
    "table_id": "another",
    "version": 4,
    "source": "file:/landing/deeper",
    "labelled": "another",
    "input_size": (24, 16),
    "resizing": "crop",
    "regions": {"7": (0, 0, 0.5, 1)},
    "block_minutes": 20,
    "guard_minutes": 2,
    "split_seed": 1,
    "test": "holdout",
}


def test_what_spark_wrote_is_synced_before_the_manifest_names_it(tmp_path, monkeypatch):
    folder, synced = tmp_path / "name", []

    def fill(_, place: str) -> Cache:
        folder.mkdir()
        (folder / "rows").touch()
        return Cache(f"{place}/rows", ["a", "b"], (2, 2), {}, {})

    monkeypatch.setattr(os, "sync", lambda: synced.extend(path.name for path in folder.iterdir()))
    profile = load_profile("local").model_copy(update={"cache": str(tmp_path)})
    find_or_make("name", profile, nullcontext, fill)
    assert synced == ["rows"] and (folder / "manifest.json").exists()


def _known(count: int, labels: str = "ab", devices: int = 3, seed: int = 0) -> pd.DataFrame:
    """Images a minute apart, of which every seventh has no time."""
    rng = np.random.default_rng(seed)
    moments = [datetime(2026, 7, 13) + timedelta(minutes=n) for n in range(count)]
    return pd.DataFrame(
        {
            "sha256": [rng.bytes(32).hex() for _ in range(count)],
            "path": [f"file:/landing/{n}.jpg" for n in range(count)],
            "device_id": [str(n % devices) if n % devices else None for n in range(count)],
            "captured_at": [pd.NaT if n % 7 == 0 else m for n, m in enumerate(moments)],
            "label": list(rng.choice(list(labels), count)),
            "own": None,
        }
    )


@pytest.mark.parametrize("field", Selection.model_fields)
def test_each_field_of_a_selection_changes_the_name(field):
    other = SELECTION.model_copy(update={field: OTHER[field]})
    assert cache_name(other) != cache_name(SELECTION)
    assert cache_name(SELECTION.model_copy()) == cache_name(SELECTION)


@pytest.mark.parametrize("where", [{"version": 9}, {"table_id": "another"}])
def test_known_images_have_one_name_at_every_version(where):
    known = SELECTION.model_copy(update={"labelled": "0" * 64})
    assert cache_name(known.model_copy(update=where)) == cache_name(known)


@pytest.mark.parametrize("constant", ["PREPARE_VERSION", "LAYOUT"])
def test_other_pixels_or_another_layout_change_the_name(monkeypatch, constant):
    before = cache_name(SELECTION)
    monkeypatch.setattr(caches, constant, "other")
    assert cache_name(SELECTION) != before


@pytest.mark.parametrize("count", [300, 999, 7000])
def test_row_groups_are_equal_and_their_number_a_multiple_of_twelve(count):
    rows, _, _ = plan_cache(_known(count), SELECTION)
    for split in SPLITS:
        sizes = rows[rows["split"] == split].groupby("row_group").size()
        assert list(sizes.index) == list(range(len(sizes)))
        assert len(sizes) % GROUPS == 0
        assert sizes.max() - sizes.min() <= 1
        assert sizes.max() <= ROWS_PER_GROUP
    assert (rows[rows["split"] == "train"]["row_group"].max() > 12) == (count == 7000)


@pytest.mark.parametrize("labels", ["ab", "zyxwv"])
def test_every_image_gets_the_class_of_its_label_and_the_split_of_its_time(labels):
    known = _known(900, labels)
    selection = SELECTION.model_copy(update={"guard_minutes": 4})
    rows, ordered, counts = plan_cache(known, selection)
    assert ordered == sorted(labels)
    assert [ordered[number] for number in rows["class"]] == list(rows["label"])
    rule = SplitRule(selection.block_minutes, selection.guard_minutes, selection.split_seed)
    times = [None if pd.isna(time) else time.to_pydatetime() for time in known["captured_at"]]
    images = list(zip(times, known["device_id"], known["sha256"], strict=True))
    splits = dict(zip(known["sha256"], rule.assign(images), strict=True))
    used = {sha256: split for sha256, split in splits.items() if split != GUARD}
    assert dict(zip(rows["sha256"], rows["split"], strict=True)) == used
    assert 0 < len(used) < len(splits)
    for split in (*SPLITS, GUARD):
        labels_of_split = [row.label for row in known.itertuples() if splits[row.sha256] == split]
        assert counts[split] == {
            label: labels_of_split.count(label) for label in set(labels_of_split)
        }


def test_new_images_move_no_other_and_the_order_of_the_table_does_not_matter():
    known = _known(600)
    first, _, _ = plan_cache(known[::2], SELECTION)
    more, _, _ = plan_cache(known, SELECTION)
    splits = more.set_index("sha256")["split"]
    assert (splits[first["sha256"]].values == first["split"].values).all()
    shuffled, _, _ = plan_cache(known.sample(frac=1, random_state=1), SELECTION)
    pd.testing.assert_frame_equal(shuffled, more)


def test_equal_bytes_count_once_and_under_the_first_path():
    known = _known(300)
    duplicates = known[:40].assign(path="file:/landing/zz duplicate.jpg", label="b")
    rows, _, counts = plan_cache(pd.concat([duplicates, known]), SELECTION)
    assert rows["sha256"].is_unique and "file:/landing/zz duplicate.jpg" not in set(rows["path"])
    assert sum(sum(labels.values()) for labels in counts.values()) == 300


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (_known(0), "of the 0 images of /landing none has a label, and a network needs two"),
        (_known(50, "a"), "of the 50 images of /landing 50 are labelled a, and a network needs"),
        (_known(9), "no image labelled"),
        (_known(300).assign(label=["rare"] + ["common"] * 299), "labelled rare; too few "
         "images have a label (rare 1): label more, or merge it into another"),
        (_known(300).assign(label=["no  box", "Box"] + ["box"] * 298), "(Box 1, no  box 1)"),
        (_known(300).assign(device_id="1", captured_at=datetime(2026, 7, 13, 5)),
         "no image labelled a or b; pass shorter blocks (-P block_minutes=5 -P guard_minutes=1)"),
    ],
)  # fmt: skip
def test_too_few_labels_are_an_error_of_one_line(known, message):
    with pytest.raises(UserError) as caught:
        plan_cache(known, SELECTION)
    assert message in str(caught.value) and "\n" not in str(caught.value)

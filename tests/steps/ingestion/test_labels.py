"""Labels from a file and from the table ``labels``, merged into the images."""

import hashlib
import logging
import shutil
import unicodedata
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drawing import file_name, jpeg
from small_lake import make_small_lake

from steps.errors import UserError
from steps.ingestion.follow_labels import apply_labels, merge_classes, pending_labels
from steps.ingestion.label_export import export_labels, read_labels
from steps.ingestion.label_rows import LabelRow, add_labels, all_labels, current_labels, labels_by
from steps.ingestion.labels import MergedLabels, merge_labels
from steps.ingestion.tables import IMAGES, LABELS
from steps.lake.newest import Newest, read_newest

pytestmark = pytest.mark.slow

UNLABELLED, LABELLED = file_name(hour=1, label=""), file_name(hour=2)
FOLDER = "old shoes/it's 100%.jpg"
FILES = {UNLABELLED: jpeg(1), LABELLED: jpeg(2), FOLDER: jpeg(3)}
BEFORE = {UNLABELLED: None, LABELLED: "0", FOLDER: "old shoes"}
AFTER = {UNLABELLED: "parcel", LABELLED: "shoes", FOLDER: "old shoes"}


@pytest.fixture(scope="module")
def ingested(lake, tmp_path_factory):
    ingested = make_small_lake(lake, tmp_path_factory.mktemp("labels"))
    ingested.put(FILES)
    ingested.ingest()
    return ingested


@pytest.fixture
def small(ingested, tmp_path):
    return ingested.copied(tmp_path)


def _labels(small) -> dict[str, str | None]:
    """Each image's label, by the table's log: asking Spark takes a second."""
    columns = pa.schema({"path": pa.string(), "label": pa.string()})
    rows = read_newest(IMAGES.path(small.profile), columns, pc.field("path").is_valid())
    return {row["path"].removeprefix(f"{small.source}/"): row["label"] for row in rows.to_pylist()}


def _keys(small, labels_by: str) -> dict[str, str]:
    """What names each image in a table of labels."""
    return {
        "file_name": {name: name.rsplit("/", 1)[-1] for name in FILES},
        "path": {name: f"{small.zone}/{name}" for name in FILES},
        "path with file:": {name: f"{small.source}/{name}" for name in FILES},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    }[labels_by]


def _write(small, kind: str, rows: pd.DataFrame) -> str:
    place = Path(small.profile.lake).parent / f"labels.{kind}"
    if kind == "csv":
        rows.to_csv(place, index=False)
    elif kind == "parquet":
        rows.to_parquet(place)
    else:
        small.spark.createDataFrame(rows).write.format("delta").save(str(place))
    return str(place)


def _merge(small, rows: list[tuple], key: str = "file_name", kind: str = "csv") -> MergedLabels:
    table = _write(small, kind, pd.DataFrame(rows, columns=[key, "label"]))
    return merge_labels(small.spark, small.profile, small.source, table, key)


@pytest.mark.parametrize(
    ("kind", "labels_by"),
    [
        ("csv", "file_name"),
        ("csv", "path"),
        ("parquet", "path with file:"),
        ("parquet", "sha256"),
        ("delta", "sha256"),
        ("delta", "path"),
    ],
)
def test_labels_are_merged_from_every_kind_of_table_by_every_key(small, kind, labels_by):
    keys = _keys(small, labels_by)
    rows = [(keys[name], label) for name, label in AFTER.items()] + [("nobody", "shoes")]
    done = _merge(small, rows, labels_by.split()[0], kind)
    assert done == MergedLabels(added=1, changed=1, conflicts=[], unmatched=1)
    assert _labels(small) == AFTER
    assert small.table("images").set_index("name")["content"].to_dict() == FILES


def test_an_old_version_still_shows_the_old_labels(small):
    before = small.versions()["images"]
    _merge(small, list(AFTER.items()))
    assert small.versions()["images"] == before + 1
    old = small.spark.read.format("delta").option("versionAsOf", before)
    rows = old.load(f"{small.profile.lake}/images").select("path", "label").collect()
    assert {row["path"].removeprefix(f"{small.source}/"): row["label"] for row in rows} == BEFORE


def test_labels_that_are_there_already_write_no_version(small):
    _merge(small, list(AFTER.items()))
    before = small.versions()
    assert _merge(small, list(AFTER.items())) == MergedLabels(0, 0, [], 1)
    assert small.versions() == before


def test_conflicting_labels_are_reported_and_not_merged(small):
    conflict = [(LABELLED, "shoes"), (LABELLED, "boots"), (UNLABELLED, "parcel")]
    done = _merge(small, [*conflict, (UNLABELLED, "parcel")])
    assert done == MergedLabels(added=1, changed=0, conflicts=[LABELLED], unmatched=0)
    assert _labels(small) == BEFORE | {UNLABELLED: "parcel"}


def test_a_file_name_of_several_images_labels_none_of_them(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put({"a/IMG_1.jpg": jpeg(1), "b/IMG_1.jpg": jpeg(2), "b/IMG_2.jpg": jpeg(3)})
    small.put({"c/IMG_2.jpg": jpeg(3)})  # a copy
    small.ingest()
    done = _merge(small, [("IMG_1.jpg", "boots"), ("IMG_2.jpg", "boots")])
    assert done == MergedLabels(added=0, changed=2, conflicts=["IMG_1.jpg"], unmatched=0)
    assert _merge(small, [(f"{small.zone}/a/IMG_1.jpg", "boots")], "path").changed == 1
    assert sorted(_labels(small).values()) == ["b", "boots", "boots", "boots"]


def test_rows_without_a_key_or_a_label_are_ignored(small):
    assert _merge(small, [(LABELLED, None), (None, "shoes")]) == MergedLabels(0, 0, [], 0)
    assert _labels(small) == BEFORE


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("csv", ["nan", "None", "null"], ["nan", "None", "null"]),
        ("parquet", [1, 2.5, None], ["1", "2.5", "old shoes"]),  # pandas writes 1.0, 2.5 and NaN
    ],
)
def test_text_is_a_label_and_a_missing_value_is_none(small, kind, given, expected, caplog):
    names = [name.rsplit("/", 1)[-1] for name in FILES]
    with caplog.at_level(logging.INFO, "steps"):
        _merge(small, [*zip(names, given, strict=True)], kind=kind)
    found = _labels(small)
    assert [found[name] for name in FILES] == expected
    assert ("; 1 keys in" in caplog.text) == (None in given)


def test_a_label_is_one_however_it_was_typed(small):
    decomposed = unicodedata.normalize("NFD", "Tür")
    rows = [(UNLABELLED, "Tür"), (UNLABELLED, f" {decomposed} "), (LABELLED, "  ")]
    assert _merge(small, rows) == MergedLabels(added=1, changed=0, conflicts=[], unmatched=0)
    assert _labels(small) == BEFORE | {UNLABELLED: "Tür"}


def test_a_column_split_is_merged_beside_the_labels(small):
    rows = [(UNLABELLED, "parcel", "VAL"), (LABELLED, None, "fold 2"), ("it's 100%.jpg", "x", None)]
    rows += [(LABELLED, None, "fold 2"), ("nobody.jpg", "x", "test")]
    table = _write(small, "csv", pd.DataFrame(rows, columns=["file_name", "label", "split"]))
    merge_labels(small.spark, small.profile, small.source, table, "file_name")
    images = small.table("images").set_index("name")
    assert images["split"].to_dict() == {UNLABELLED: "validation", LABELLED: "fold 2", FOLDER: None}
    origins = {UNLABELLED: "table", LABELLED: "name", FOLDER: "table"}
    assert images["label_from"].to_dict() == origins
    before = small.versions()
    merge_labels(small.spark, small.profile, small.source, table, "file_name")
    assert small.versions() == before


def test_images_of_another_source_are_not_labelled(small):
    table = _write(small, "csv", pd.DataFrame({"file_name": [UNLABELLED], "label": ["x"]}))
    done = merge_labels(small.spark, small.profile, f"{small.source}/old", table, "file_name")
    assert done == MergedLabels(0, 0, [], 1)
    assert _labels(small) == BEFORE


def test_equal_bytes_are_labelled_together_by_sha256(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put({file_name(hour=hour, label=""): FILES[UNLABELLED] for hour in (1, 5)})
    small.ingest()
    sha256 = hashlib.sha256(FILES[UNLABELLED]).hexdigest()
    assert _merge(small, [(sha256, "parcel")], "sha256").added == 2


def _give(small, how: str = "key", **labels: str | None) -> int:
    """Add a row of ``labels`` for each image, and bring ``images`` up to date."""
    images = {"first": UNLABELLED, "second": LABELLED, "third": FOLDER}
    rows = [
        LabelRow(
            *(uuid.uuid4().hex, hashlib.sha256(FILES[images[which]]).hexdigest(), label),
            *("ann", how, datetime.now(UTC)),
        )
        for which, label in labels.items()
    ]
    add_labels(small.spark, small.profile, rows, "a sitting")
    return _follow(small)


def _follow(small) -> int:
    images = Newest(IMAGES, small.profile, lambda: small.spark)
    pending = pending_labels(images, small.profile, small.source)
    return apply_labels(small.spark, small.profile, pending)


def test_the_newest_row_counts_over_what_a_name_or_a_folder_gave(small):
    assert _give(small, first="parcel", second="shoes", third="old shoes") == 2
    assert _labels(small) == AFTER
    images = small.table("images").set_index("name")
    origins = {UNLABELLED: "labels", LABELLED: "labels", FOLDER: "folder"}
    assert images["label_from"].to_dict() == origins
    assert images["content"].to_dict() == FILES
    before = small.versions()
    assert _give(small, first="parcel") == 0
    assert small.versions() == before


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("not sure", None)], None),
        ([("not sure", None), ("undo", "0")], "0"),
        ([("key", "1"), ("undo", "0")], "0"),
        ([("undo", None)], "0"),  # as if there were no row
        ([("key", "1"), ("undo", None)], "0"),
        ([("key", "1"), ("not sure", None), ("undo", None)], "0"),
    ],
)
def test_an_image_that_no_one_is_sure_of_teaches_nothing_and_an_undo_restores(
    small, steps, expected
):
    for how, label in steps:
        _give(small, how, second=label)
    assert _labels(small)[LABELLED] == expected
    rows = small.table("images").to_dict("records")
    newest = current_labels(small.profile)
    (image,) = [row for row in rows if row["name"] == LABELLED]
    assert labels_by(newest, small.source, small.profile.file_name, [image]) == [expected]


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["cat/train/1.jpg", "cat/test/2.jpg"], ["cat", "cat"]),
        (["train/1.jpg", "car/2.jpg"], ["train", "car"]),  # train is a class there
    ],
)
def test_an_undo_reads_folders_as_ingest_does(paths, labels):
    newest = {path: {"label": None, "how": "undo"} for path in paths}
    images = [
        {"path": f"file:/zone/{path}", "sha256": path, "label": "x", "label_from": "labels"}
        for path in paths
    ]
    assert labels_by(newest, "file:/zone", "never", images) == labels


def test_a_later_file_of_the_same_bytes_follows_the_row_and_not_its_name(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put(FILES)
    small.ingest()
    _give(small, first="parcel")
    small.put({file_name(hour=7, label="_0"): FILES[UNLABELLED]})
    small.ingest()
    assert _follow(small) == 1
    assert sorted(_labels(small).values()) == ["0", "old shoes", "parcel", "parcel"]


def _history(small) -> list[tuple]:
    rows = all_labels(small.profile).to_pylist()
    return [(row["label"], row["labeller"], row["how"]) for row in rows]


def test_what_a_file_says_becomes_rows_of_labels_once(small):
    _merge(small, [(LABELLED, "shoes")])
    _merge(small, [(LABELLED, "shoes")])
    assert _history(small) == [("shoes", "labels.csv", "import")]
    _merge(small, [(LABELLED, "boots")])
    _merge(small, [(LABELLED, "shoes")])
    assert [label for label, _, _ in _history(small)] == ["shoes", "boots", "shoes"]
    assert _give(small) == 0
    assert _labels(small)[LABELLED] == "shoes"


def test_the_same_file_again_takes_no_correction_back(small):
    _merge(small, [(LABELLED, "shoes"), (UNLABELLED, "parcel")])
    _give(small, second="boots")
    assert _merge(small, [(LABELLED, "shoes")]) == MergedLabels(0, 0, [], 0)
    assert _labels(small)[LABELLED] == "boots"
    assert _merge(small, [(LABELLED, "slippers")]).changed == 1  # it says something new
    assert _give(small) == 0
    assert _labels(small)[LABELLED] == "slippers"


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_what_is_exported_is_read_again_by_every_key(small, tmp_path, kind):
    odd = "a \"b\", 'c' \\ ü"
    _give(small, first=odd, third="old shoes")
    images = read_labels(small.profile, small.source)
    file = str(tmp_path / f"labels.{kind}")
    export_labels(images, small.source, file)
    assert {image["file_name"]: image["label"] for image in images} == {
        UNLABELLED: odd,
        LABELLED: "0",
        "it's 100%.jpg": "old shoes",
    }
    added = {(image["labeller"], image["how"]) for image in images}
    assert added == {("ann", "key"), (None, "name")}
    (tmp_path / "other").mkdir()
    other = small.copied(tmp_path / "other")  # without rows of labels, as they were ingested
    shutil.rmtree(LABELS.path(other.profile))
    LABELS.open(other.spark, other.profile)
    other.spark.sql(f"UPDATE delta.`{IMAGES.path(other.profile)}` SET label = NULL")
    for key in ("file_name", "path", "sha256"):
        done = merge_labels(other.spark, other.profile, other.source, file, key)
        assert (done.conflicts, done.unmatched) == ([], 0)
    assert _labels(other) == {UNLABELLED: odd, LABELLED: "0", FOLDER: "old shoes"}


@pytest.mark.parametrize(
    ("images", "file", "says"),
    [
        ([{}], "labels.txt", "labels.txt is neither .csv nor .json; pass -P export=labels.csv"),
        ([], "labels.csv", "the lake has no image of /in"),
    ],
)
def test_an_export_that_cannot_be_is_refused(images, file, says):
    with pytest.raises(UserError, match=says):
        export_labels(images, "file:/in", file)


def test_classes_are_merged_by_rows_and_named_in_the_history(small):
    arguments = small.spark, small.profile, small.source
    assert merge_classes(*arguments, "old shoes", " shoes ", "ann") == 1
    assert _history(small) == [("shoes", "ann", "rename")]
    assert _give(small) == 1
    assert _labels(small) == BEFORE | {FOLDER: "shoes"}
    message = LABELS.load(small.spark, small.profile).history(1).head()["userMetadata"]
    assert message == "old shoes merged into shoes by ann"
    for label, into in (("old shoes", "x"), ("", "x"), ("shoes", " ")):
        with pytest.raises(UserError, match="pass -P merge="):
            merge_classes(*arguments, label, into, "ann")


def test_equal_bytes_with_two_labels_by_their_paths_keep_them(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put({"a/IMG_1.jpg": jpeg(1), "b/IMG_1.jpg": jpeg(1)})
    small.ingest()
    rows = [(f"{small.zone}/a/IMG_1.jpg", "shoes"), (f"{small.zone}/b/IMG_1.jpg", "boots")]
    assert _merge(small, rows, "path").changed == 2
    assert _history(small) == []
    assert _give(small) == 0
    assert sorted(_labels(small).values()) == ["boots", "shoes"]


def _nothing(place):
    pass


def _no_key(place):
    place.write_text("name,label\na.jpg,shoes\n")


def _no_label(place):
    place.write_text("file_name,class\na.jpg,shoes\n")


def _nothing_in_it(place):
    place.write_text("")


def _empty_folder(place):
    place.mkdir()


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (_nothing, "missing.csv", "cannot read the labels"),
        (_nothing, "missing.parquet", "cannot read the labels"),
        (_nothing, "missing table", "cannot read the labels"),
        (_empty_folder, "folder", "cannot read the labels"),
        (_no_key, "labels.parquet", "cannot read the labels"),
        (_no_key, "labels.csv", "has no column file_name"),
        (_no_label, "labels.csv", "has no column label"),
        (_nothing_in_it, "labels.csv", "has no column file_name and label"),
    ],
)
def test_an_invalid_table_gives_an_error_of_one_line(lake, tmp_path, make, name, says):
    place = tmp_path / name
    make(place)
    small = make_small_lake(lake, tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        merge_labels(small.spark, small.profile, small.source, str(place), "file_name")
    assert str(place) in str(caught.value) and "\n" not in str(caught.value)
    assert "labels" in str(caught.value).partition("pass -P")[2]

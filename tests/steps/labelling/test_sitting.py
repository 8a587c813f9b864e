"""A sitting: labels, undo over a restart, and what others do to the table meanwhile."""

import hashlib
import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from drawing import jpeg
from pyarrow import parquet

from benchmarks.made_lake import commit, frame_name, image_rows, write_rows, write_table
from steps.errors import UserError
from steps.ingestion.label_rows import LabelRow, labels_by
from steps.ingestion.tables import CLASSES, IMAGES, LABELS
from steps.labelling.sitting import NONE, UNSURE, GoneError, Press


def press(sitting, number: int, label: str | None = "1", how: str = "key") -> Press:
    # what is labelled on the timeline is one action
    action = how if how == "timeline" else uuid.uuid4().hex
    return Press(uuid.uuid4().hex, sha(sitting, number), label, how, action)


def sha(sitting, number: int) -> str:
    return sitting.state.images.sha256[number].decode()


def codes(sitting, count: int = 4) -> list:
    names = {NONE: None, UNSURE: "?"} | dict(enumerate(sitting.classes))
    return [names[code] for code in sitting.state.codes[:count]]


def test_each_image_is_there_once_in_time_order(sitting):
    images = sitting.state.images
    assert len(images) == 40 and (images.times[1:] > images.times[:-1]).all()
    assert images.devices[0] == ["porch"] and (images.brightness > 0).all()
    for number in (0, 17, 39):
        content = sitting.read_image(sha(sitting, number))
        assert content == jpeg(number) and images.find(sha(sitting, number)) == number
        assert hashlib.sha256(content).hexdigest() == sha(sitting, number)


def test_labels_count_and_the_newest_wins(sitting):
    sitting.label([press(sitting, 0), press(sitting, 1, "0"), press(sitting, 2, None, "not sure")])
    sitting.label([press(sitting, 0, "2")])
    assert codes(sitting) == ["2", "0", "?", None]
    summary = sitting.summary()
    assert (summary["unlabelled"], summary["unsure"], summary["given"]) == (37, 1, 4)
    assert summary["classes"] == [
        {"label": "1", "count": 0},
        {"label": "0", "count": 1},
        {"label": "2", "count": 1},
    ]


def test_labels_keep_their_keys_over_a_restart(sit, made):
    profile, zone = made
    (row,) = image_rows([(frame_name(-1), jpeg(99))], zone)
    commit(profile, write_rows([row | {"label": "z", "label_from": "name"}], profile))
    sitting = sit()
    sitting.define("package")
    sitting.label([press(sitting, 1, "package"), press(sitting, 2, "no package")])
    sitting.label([press(sitting, 3, "a"), press(sitting, 1, "no package"), press(sitting, 4, "z")])
    sitting.label([press(sitting, 5, "package")])
    keys = ["z", "package", "no package", "a"]
    assert sitting.classes == keys
    assert sit().classes == keys


def test_an_id_is_written_once(sit):
    sitting = sit()
    again = press(sitting, 0)
    sitting.label([again])
    sitting.label([again, press(sitting, 1)])
    sitting = sit()
    sitting.label([again])
    assert [row.id for row in sitting.journal.rows].count(again.id) == 1
    assert len(sitting.journal.rows) == 2


def test_undo_takes_actions_back_one_by_one_over_a_restart(sit):
    sitting = sit()
    sitting.label([press(sitting, 0)])
    sitting.label([press(sitting, n, "0", "timeline") for n in (0, 1, 2)])
    sitting.label([press(sitting, 3, None, "not sure")])
    assert codes(sitting) == ["0", "0", "0", "?"]
    assert sitting.undo() == [sha(sitting, 3)]
    sitting = sit()
    assert codes(sitting) == ["0", "0", "0", None]
    assert sitting.undo() == [sha(sitting, n) for n in (0, 1, 2)]
    assert codes(sitting) == ["1", None, None, None]
    sitting = sit()
    assert sitting.undo() == [sha(sitting, 0)] and codes(sitting) == [None] * 4
    assert sitting.undo() == []


def test_an_action_that_came_in_parts_is_taken_back_as_one(sitting):
    sitting.label([press(sitting, 3)])
    for number in (0, 1):
        sitting.label([press(sitting, number, how="timeline")])
    assert set(sitting.undo()) == {sha(sitting, 0), sha(sitting, 1)}
    sitting.label([press(sitting, 2, how="timeline")])  # after an undo it is another one
    assert sitting.undo() == [sha(sitting, 2)] and sitting.undo() == [sha(sitting, 3)]


def test_undo_takes_back_no_one_elses_labels(sit):
    ann = sit("ann")
    ann.label([press(ann, 0), press(ann, 1)])
    bob = sit("bob")
    assert bob.undo() == []
    bob.label([press(bob, 1, "0")])
    assert list(bob.labels.disagreements()) == [sha(bob, 1)]
    ann = sit("ann")
    assert ann.undo() == [sha(ann, 0)] and codes(ann, 2) == [None, "0"]


def test_an_undo_of_a_label_leaves_its_labeller_as_unsure_as_before(sit):
    sitting = sit()
    sitting.label([press(sitting, 0, None, "not sure")])
    sitting.label([press(sitting, 0)])
    sitting.undo()
    assert codes(sitting, 1) == ["?"] and codes(sit(), 1) == ["?"]
    (image,) = [{"path": "0.jpg", "sha256": sha(sitting, 0), "label": "1", "label_from": "name"}]
    row = sitting.journal.rows[-1]._asdict()
    assert labels_by({image["sha256"]: row}, "zone", "never", [image]) == [None]


def test_a_label_is_newer_than_those_before_whatever_the_clock_says(sit):
    sitting = sit()
    ahead = datetime.now(UTC) + timedelta(days=1)
    row = LabelRow(uuid.uuid4().hex, sha(sitting, 0), "0", "bob", "key", ahead)
    sitting.journal.append([row])
    sitting = sit()
    sitting.label([press(sitting, 0)])
    assert sitting.journal.rows[-1].labelled_at > ahead
    assert codes(sitting, 1) == codes(sit(), 1) == ["1"]


def test_labels_of_another_landing_zone_stay_out(sit):
    sitting = sit()
    now = datetime.now(UTC)
    sitting.journal.append([LabelRow(uuid.uuid4().hex, "0" * 64, "shoes", "ann", "key", now)])
    sitting = sit()
    assert sitting.undo() == [] and sitting.summary()["labellers"] == []
    assert "shoes" not in sitting.classes


def test_merged_classes_are_no_disagreement(sit):
    bob = sit("bob")
    bob.label([press(bob, 0, "boot"), press(bob, 1, "boot")])
    ann = sit("ann")
    ann.label([press(ann, 1, "shoe")])
    rows = ann.journal.rows
    merged = [LabelRow(uuid.uuid4().hex, sha(ann, 0), "boots", "ann", "rename", datetime.now(UTC))]
    ann.journal.append(merged)
    ann = sit("ann")
    assert list(ann.labels.disagreements()) == [rows[1].sha256]
    assert ann.undo() == [sha(ann, 0)] and codes(ann, 2) == ["boot", "shoe"]
    assert sit("ann").undo() == [rows[1].sha256]  # what came before the merge


def test_a_merge_that_is_taken_back_leaves_those_of_one_opinion_so(sit):
    for name in ("bob", "ann"):
        one = sit(name)
        one.label([press(one, 0, "boots")])
    merged = LabelRow(uuid.uuid4().hex, sha(one, 0), "shoes", "ann", "rename", datetime.now(UTC))
    one.journal.append([merged])
    one = sit("ann")
    assert one.undo() == [sha(one, 0)]
    assert not list(one.labels.disagreements()) and not list(sit().labels.disagreements())


def test_an_unknown_image_is_refused_and_nothing_is_written(sitting):
    with pytest.raises(GoneError):
        sitting.label([press(sitting, 0), Press("0" * 32, "f" * 64, "1", "key", "0" * 32)])
    assert sitting.journal.rows == [] and codes(sitting, 1) == [None]


def compact(table, profile) -> None:
    """Write all rows into one file and one row group, as Spark does, and delete the old files."""
    old = sorted(table.rglob("*.parquet"))
    # as a file alone: with its folder, pyarrow would add the partition column
    rows = [parquet.ParquetFile(path).read() for path in old]
    whole = table / "date=2026-07-13" / "compacted.parquet"
    parquet.write_table(pa.concat_tables(rows), whole, compression="none", use_dictionary=True)
    removes = [{"remove": {"path": str(path.relative_to(table))}} for path in old]
    add = {"add": {"path": str(whole.relative_to(table)), "size": whole.stat().st_size}}
    commit(profile, [json.dumps(action) for action in [*removes, add]])
    for path in old:
        path.unlink()


def test_images_are_read_after_the_table_was_compacted_and_vacuumed(sitting, table, made):
    sitting.label([press(sitting, 0)])
    compact(table, made[0])
    for number in (39, 0, 20):
        assert sitting.read_image(sha(sitting, number)) == jpeg(number)
    assert codes(sitting, 2) == ["1", None]


def test_images_that_are_ingested_meanwhile_appear(sitting, made):
    profile, zone = made
    sitting.label([press(sitting, 0)])
    new = image_rows([(frame_name(n, minutes=120), jpeg(n)) for n in (40, 41)], zone)
    commit(profile, write_rows(new, profile))
    assert sitting.refresh() and not sitting.refresh()
    assert len(sitting.state.images) == 42 and codes(sitting, 1) == ["1"]
    assert sitting.read_image(sha(sitting, 41)) == jpeg(41)


def test_an_image_whose_files_are_gone_is_said_to_be(sitting, table):
    shutil.rmtree(table / "date=2026-07-13")
    with pytest.raises(GoneError, match="cannot be read"):
        sitting.read_image(sha(sitting, 0))


@pytest.mark.parametrize(("origin", "restored"), [("name", "0"), ("table", "0"), ("labels", None)])
def test_an_undo_restores_what_was_given_elsewhere_than_here(sit, made, origin, restored):
    profile, zone = made
    (row,) = image_rows([(frame_name(-1), jpeg(99))], zone)
    commit(profile, write_rows([row | {"label": "0", "label_from": origin}], profile))
    sitting = sit()
    sitting.label([press(sitting, 0)])
    sitting.undo()
    assert sitting.journal.rows[-1].label == restored


def test_named_labels_have_their_keys_before_any_is_given(sit, made):
    named = [("1", "package", "#d55e00", "1"), ("0", "no package", "#0072b2", "2")]
    columns = [*CLASSES.types]
    rows = [dict(zip(columns, values, strict=True)) for values in named]
    schema = pa.schema([(column, pa.string()) for column in columns])
    write_table(CLASSES, made[0], rows, schema)
    sitting = sit()
    sitting.label([press(sitting, 0, "other")])
    assert sitting.summary()["classes"] == [
        {"label": "1", "count": 0, "name": "package", "colour": "#d55e00"},
        {"label": "0", "count": 0, "name": "no package", "colour": "#0072b2"},
        {"label": "other", "count": 1},
    ]


@pytest.mark.parametrize("table", [IMAGES, LABELS, CLASSES], ids=lambda table: table.name)
@pytest.mark.parametrize(
    ("protocol", "named"),
    [
        ({"minReaderVersion": 2}, "columnMapping"),
        ({"minReaderVersion": 3, "readerFeatures": ["deletionVectors"]}, "deletionVectors"),
        ({"minReaderVersion": 3, "readerFeatures": ["new", "v2Checkpoint"]}, "new, v2Checkpoint"),
    ],
)
def test_a_table_that_only_spark_reads_is_refused_in_one_line(sit, made, table, protocol, named):
    commit(made[0], [json.dumps({"protocol": protocol})], table)
    with pytest.raises(UserError) as refused:
        sit()
    message = f"{table.path(made[0])} uses {named}, which only Spark reads: copy its rows"
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)

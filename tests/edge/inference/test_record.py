import json
import math
from dataclasses import replace

import numpy as np
import pytest

from edge.inference.errors import AgentTooOldError, RecordError
from edge.inference.record import FEATURES, RECORD_VERSION, ModelRecord
from edge.inference.region import Region

RECORD = ModelRecord(
    labels=["empty", "package"],
    input_size=(128, 96),
    prepare_version="1",
    source={"model": "package", "version": "2"},
    metrics={"accuracy": 0.98},
    files={"model.onnx": "0" * 64},
)
REGIONS = {"7": Region(0.25, 0.5, 0.5, 0.25), "": Region(0, 0, 1, 1 / 3)}

STATED = {
    "labels": ["a"],
    "input_size": [1, 1],
    "prepare_version": "1",
    "record_version": 1,
    "requires": {},
}


def test_a_field_of_a_later_version_is_ignored_unless_it_is_required(tmp_path):
    later = STATED | {"record_version": 2, "new": {"a": 1}}
    (tmp_path / "record.json").write_text(json.dumps(later))
    assert ModelRecord.read(tmp_path) == ModelRecord(["a"], (1, 1), "1")
    later["requires"] = {"threshold": "0.1", "new": "0.9", "newer": "0.10"}
    (tmp_path / "record.json").write_text(json.dumps(later))
    with pytest.raises(AgentTooOldError, match=r"needs agent ≥ 0\.10: run install\.sh"):
        ModelRecord.read(tmp_path)


def test_names_for_people_need_no_newer_agent(tmp_path):
    record = replace(RECORD, names={"package": "a parcel"})
    record.write(tmp_path)
    assert json.loads((tmp_path / "record.json").read_text())["requires"] == {}
    assert ModelRecord.read(tmp_path) == record
    assert [record.describe(label) for label in record.labels] == ["empty", "package (a parcel)"]
    (tmp_path / "record.json").write_text(json.dumps(STATED | {"names": {"a": 7}}))
    with pytest.raises(RecordError, match="no valid text"):
        ModelRecord.read(tmp_path)


def test_a_record_requires_what_it_uses(tmp_path):
    for record, requires in (
        (RECORD, {}),
        (replace(RECORD, threshold=0.5), {"threshold": FEATURES["threshold"]}),
        (replace(RECORD, resizing="crop"), {"crop": FEATURES["crop"]}),
        (
            replace(RECORD, threshold=0.5, threshold_label="empty"),
            {name: FEATURES[name] for name in ("threshold", "threshold_label")},
        ),
        (replace(RECORD, regions=REGIONS), {"region": FEATURES["region"]}),
        (replace(RECORD, abstention=0.9), {"abstention": FEATURES["abstention"]}),
        (replace(RECORD, temperature=2.0), {"abstention": FEATURES["abstention"]}),
        (replace(RECORD, offsets=[0.5, 0.0]), {"offsets": FEATURES["offsets"]}),
    ):
        record.write(tmp_path)
        stated = json.loads((tmp_path / "record.json").read_text())
        assert (stated["record_version"], stated["requires"]) == (RECORD_VERSION, requires)


def test_an_agent_that_knows_no_label_of_a_threshold_is_too_old(tmp_path, monkeypatch):
    replace(RECORD, threshold=0.5, threshold_label="empty").write(tmp_path)
    monkeypatch.delitem(FEATURES, "threshold_label")
    with pytest.raises(AgentTooOldError, match=r"needs agent ≥ 0\.1\.0: run install\.sh"):
        ModelRecord.read(tmp_path)


THREE = ["crack", "dent", "fine"]


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, threshold=0.25),
        replace(RECORD, threshold=0.25, threshold_label="empty"),
        replace(RECORD, labels=THREE, threshold=0.25, threshold_label="dent"),
        replace(RECORD, regions=REGIONS),
        replace(RECORD, abstention=0.9, temperature=1.5, offsets=[-1.5, 0]),
    ],
)
def test_a_record_comes_back_as_it_was_written(tmp_path, record):
    record.write(tmp_path)
    assert ModelRecord.read(tmp_path) == record


def test_a_threshold_of_the_second_of_two_adds_nothing_to_a_record(tmp_path):
    replace(RECORD, threshold=0.25).write(tmp_path)
    assert "threshold_label" not in (tmp_path / "record.json").read_text()


@pytest.mark.parametrize(
    ("labels", "label", "problem"),
    [
        (THREE, None, "a threshold for the label None, and has 3 labels"),
        (THREE, "scratch", "a threshold for the label scratch, and has 3 labels"),
        (["fine"], None, "a threshold for the label None, and has 1 labels"),
        (THREE[:2], "fine", "a threshold for the label fine, and has 2 labels"),
    ],
)
def test_a_threshold_for_no_label_is_refused(tmp_path, labels, label, problem):
    replace(RECORD, labels=labels, threshold=0.5, threshold_label=label).write(tmp_path)
    with pytest.raises(RecordError, match=problem):
        ModelRecord.read(tmp_path)


def test_the_same_record_gives_the_same_bytes(tmp_path):
    RECORD.write(tmp_path)
    first = (tmp_path / "record.json").read_bytes()
    ModelRecord.read(tmp_path).write(tmp_path)
    assert (tmp_path / "record.json").read_bytes() == first


def test_an_agent_without_regions_refuses_a_record_that_has_some(tmp_path, monkeypatch):
    replace(RECORD, regions=REGIONS).write(tmp_path)
    monkeypatch.delitem(FEATURES, "region")
    with pytest.raises(AgentTooOldError, match=r"needs agent ≥ 0\.1\.0: run install\.sh"):
        ModelRecord.read(tmp_path)


@pytest.mark.parametrize("regions", [{"7": [0, 0, 1]}, {"7": [0.5, 0, 0.6, 1]}, {"7": None}])
def test_a_record_with_a_wrong_region_is_refused(tmp_path, regions):
    (tmp_path / "record.json").write_text(json.dumps(STATED | {"regions": regions}))
    with pytest.raises(
        RecordError, match=r"record.json is not a model record: no part of an image"
    ):
        ModelRecord.read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '"labels"',
        json.dumps({"labels": ["a"], "input_size": [1, 1]}),
        json.dumps(STATED | {"input_size": 5}),
        json.dumps(STATED | {"requires": ["new"]}),
        json.dumps(STATED | {"regions": [0, 0, 1, 1]}),
        json.dumps(STATED | {"requires": {"new": "soon"}}),
        json.dumps({key: value for key, value in STATED.items() if key != "requires"}),
    ],
)
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match="record.json is not a model record"):
        ModelRecord.read(tmp_path)


@pytest.mark.parametrize(
    ("threshold", "of_package", "label"),
    [
        (None, 0.25, "empty"),
        (None, 0.75, "package"),
        (0.25, 0.25, "package"),
        (0.875, 0.75, "empty"),
    ],
)
def test_a_prediction_has_the_label_decided_on_and_its_probability(threshold, of_package, label):
    record = replace(RECORD, threshold=threshold)
    named = {"empty": 1 - of_package, "package": of_package}
    (prediction,) = record.decode(np.float32([list(named.values())]), latency_ms=2.5)
    assert prediction == (label, named[label], named, 2.5)


@pytest.mark.parametrize(
    ("labels", "threshold", "threshold_label", "probabilities", "label"),
    [
        (["a", "b"], 0.25, "a", [0.25, 0.75], "a"),
        (["a", "b"], 0.875, "a", [0.75, 0.25], "b"),
        (["a", "b"], 0.25, "b", [0.75, 0.25], "b"),
        (THREE, 0.125, "crack", [0.125, 0.25, 0.625], "crack"),
        (THREE, 0.125, "crack", [0.0, 0.375, 0.625], "fine"),
        (THREE, 0.75, "dent", [0.125, 0.625, 0.25], "fine"),  # not dent, though most probable
        (THREE, 0.5, "fine", [0.25, 0.25, 0.5], "fine"),
        (THREE, 0.0, "fine", [1.0, 0.0, 0.0], "fine"),
        (THREE, None, None, [0.25, 0.5, 0.25], "dent"),
    ],
)
def test_a_label_with_a_threshold_is_predicted_from_there_on(
    labels, threshold, threshold_label, probabilities, label
):
    record = replace(RECORD, labels=labels, threshold=threshold, threshold_label=threshold_label)
    (prediction,) = record.decode(np.float32([probabilities]))
    assert (prediction.label, prediction.score) == (label, probabilities[labels.index(label)])


@pytest.mark.parametrize(
    ("fields", "of_package", "label", "score"),
    [
        ({"abstention": 0.75}, 0.75, "package", 0.75),
        ({"abstention": 0.75}, 0.625, "unsure", 0.625),
        ({"abstention": 0.75}, 0.375, "unsure", 0.625),
        ({"abstention": 0.75, "temperature": 2.0}, 0.9, "package", 0.75),
        ({"abstention": 0.76, "temperature": 2.0}, 0.9, "unsure", 0.75),
        # the class is decided by what the network gives, as its threshold was chosen
        ({"threshold": 0.85, "temperature": 2.0}, 0.9, "package", 0.75),
        ({"threshold": 0.25, "abstention": 0.5}, 0.25, "unsure", 0.25),
        ({"temperature": 2.0}, 1.0, "package", 1.0),
        ({"abstention": 0.5, "offsets": [math.log(9), 0]}, 0.75, "unsure", 0.25),
        ({"temperature": 2.0, "offsets": [math.log(3), 0]}, 0.9, "package", 0.5),
    ],
)
def test_a_prediction_below_the_abstention_threshold_is_unsure(fields, of_package, label, score):
    (prediction,) = replace(RECORD, **fields).decode(np.array([[1 - of_package, of_package]]))
    assert (prediction.label, prediction.score) == (label, pytest.approx(score, abs=1e-5))
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert list(prediction.probabilities) == RECORD.labels


def test_each_image_has_a_prediction_and_no_image_has_none():
    predictions = RECORD.decode(np.float32([[0.5, 0.5], [0.25, 0.75], [1, 0]]))
    assert [prediction.label for prediction in predictions] == ["empty", "package", "empty"]
    assert RECORD.decode(np.empty((0, 2), np.float32)) == []


def test_a_missing_record_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        ModelRecord.read(tmp_path)


def test_another_version_of_prepare_is_refused():
    RECORD.require_prepare("1")
    with pytest.raises(RecordError, match="prepare version 1.* has version 2"):
        RECORD.require_prepare("2")


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []},
        {"labels": ["a", "a"]},
        {"labels": ["a", 2]},
        {"labels": "ab"},
        {"input_size": [0, 8]},
        {"input_size": [100_000, 100_000]},
        {"input_size": [8.0, 8]},
        {"input_size": [8, 8, 3]},
        {"threshold": 1.5, "labels": ["a", "b"]},
        {"threshold": float("nan"), "labels": ["a", "b"]},
        {"threshold": "0.5", "labels": ["a", "b"]},
        {"abstention": 1.5},
        {"abstention": "0.9"},
        {"abstention": 0.9, "labels": ["a", "unsure"]},
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("inf")},
        {"temperature": True},
        {"temperature": [1.0]},
        {"offsets": [1.0, 2.0, 3.0]},
        {"offsets": [0.0, float("nan")]},
        {"offsets": [0.0, "1"]},
        {"offsets": 1.0},
        {"resizing": "stretch"},
        {"prepare_version": 1},
        {"source": {"model": 5}},
        {"metrics": {"accuracy": "good"}},
        {"file_metrics": {"model.int8.onnx": {"agreement": float("nan")}}},
        {"file_metrics": {"model.int8.onnx": 1.0}},
        {"files": []},
    ],
    ids=str,
)
def test_a_record_with_a_value_out_of_bounds_is_refused(tmp_path, change):
    (tmp_path / "record.json").write_text(json.dumps(STATED | change))
    with pytest.raises(RecordError, match="is not a model record"):
        ModelRecord.read(tmp_path)

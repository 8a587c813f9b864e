"""The parameters that choose images, and the selection that they make of an ingest run."""

import pytest

from edge.inference.region import Region
from steps.dataset.selection import NetworkInput, SelectionParameters, prepared_for
from steps.dataset.split import SplitRule
from steps.environment import NESTED
from steps.errors import UserError
from steps.pipeline.outputs import IngestOutputs, Selection
from steps.settings.parameters import parse_parameters

INGESTED = IngestOutputs(
    table="/lake/images",
    version=7,
    source="file:/landing",
    images=10,
    new_images=2,
    duplicates=0,
    quarantined=1,
    labels={"a": 5, "b": 5},
)
WAY = NetworkInput("compact", 64, "crop")
LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)
GIVEN = ["--block_minutes=30", "--guard_minutes=2", "--split_seed=5"]


def test_a_selection_is_the_ingest_split_as_the_parameters_say():
    parameters = parse_parameters(SelectionParameters, "train", GIVEN)
    assert parameters.selection(INGESTED, WAY, {}) == Selection(
        table="/lake/images",
        version=7,
        source="file:/landing",
        input_size=(64, 64),
        resizing="crop",
        block_minutes=30,
        guard_minutes=2,
        split_seed=5,
    )


@pytest.mark.parametrize(
    ("argv", "profile", "regions"),
    [
        ([], {}, {}),
        ([], {"7": LEFT}, {"7": LEFT}),
        (["--region=0.5,0,0.5,1"], {}, {"": RIGHT}),
        (["--region= .50, 0,0.5,1 "], {"7": LEFT}, {"7": LEFT, "": RIGHT}),
        (["--region="], {"7": LEFT}, {"7": LEFT}),
    ],
)
def test_a_region_is_for_the_devices_that_the_profile_does_not_name(argv, profile, regions):
    parameters = parse_parameters(SelectionParameters, "train", argv)
    selection = parameters.selection(INGESTED, WAY, profile)
    assert selection.regions == regions
    assert Selection.model_validate_json(selection.model_dump_json()) == selection
    again = parse_parameters(SelectionParameters, "train", [f"--region={parameters.region}"])
    assert again == parameters and parameters.region in ("", "0.5,0.0,0.5,1.0")


def test_without_parameters_the_split_is_the_usual_one():
    selection = SelectionParameters().selection(INGESTED, WAY, {})
    assert SplitRule() == SplitRule(
        selection.block_minutes, selection.guard_minutes, selection.split_seed
    )


@pytest.mark.parametrize("nested", [False, True])
def test_classes_are_said_unless_a_pipeline_has_said_them(monkeypatch, caplog, nested):
    if nested:
        monkeypatch.setenv(NESTED, "true")
    with caplog.at_level("INFO", "steps"):
        SelectionParameters().selection(INGESTED, WAY, {})
    assert ("classes: a 5, b 5" in caplog.text) != nested


@pytest.mark.parametrize("label", ["nan", "None", "null", "Unsure", "NaN"])
def test_any_word_is_a_label_but_what_a_model_answers_that_is_not_sure(label):
    given = INGESTED.model_copy(update={"labels": {"a": 5, label: 5}})
    SelectionParameters().selection(given, WAY, {})
    given = INGESTED.model_copy(update={"labels": {"a": 5, label: 5, "unsure": 3}})
    with pytest.raises(UserError, match="^3 images have the label 'unsure', which is what a model"):
        SelectionParameters().selection(given, WAY, {})


def test_the_same_images_are_prepared_in_another_way():
    selection = SelectionParameters().selection(INGESTED, WAY, {})
    other = prepared_for(NetworkInput("compact", 32, "squash"), selection)
    assert (other.input_size, other.resizing) == ((32, 32), "squash")
    assert prepared_for(WAY, other) == selection


@pytest.mark.parametrize(
    "value",
    [
        "--input_size=31",
        "--input_size=1025",
        "--block_minutes=0",
        "--guard_minutes=-1",
        "--split_seed=-1",
        "--split_seed=x",
        "--region=0.5,0,0.6,1",
        "--region=0,0,1",
        "--region=left",
    ],
)
def test_a_value_out_of_its_bounds_is_an_error_of_one_line(value):
    with pytest.raises(UserError, match=value[2:].partition("=")[0]) as caught:
        parse_parameters(SelectionParameters, "train", [value])
    assert "\n" not in str(caught.value)

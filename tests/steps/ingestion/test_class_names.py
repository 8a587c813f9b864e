"""Names, colours and keys of labels, kept with the table."""

import pytest

from steps.errors import UserError
from steps.ingestion.class_names import (
    COLOURS,
    ClassName,
    class_names,
    parse_class_names,
    set_class_names,
)
from steps.ingestion.tables import CLASSES


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0=no package,1=package", {"0": "no package", "1": "package"}),
        (" R&D = a=b ", {"R&D": "a=b"}),
        ("0", None),
        ("0=", None),
        ("=package", None),
        ("0=a,0=b", None),
        ("0=a,1=a", None),
        ("", None),
    ],
)
def test_names_are_parsed_or_refused_with_an_example(text, names):
    if names:
        assert parse_class_names(text) == names
    else:
        with pytest.raises(UserError, match="-P names='0=no package,1=package'"):
            parse_class_names(text)


@pytest.mark.slow
def test_names_are_kept_with_a_history_and_a_label_keeps_its_colour_and_key(lake, tmp_path):
    profile = lake.fresh(tmp_path)
    assert class_names(profile) == {}
    set_class_names(lake.spark, profile, {"1": "package", "0": "no package"})
    set_class_names(lake.spark, profile, {"1": "parcel", "2": "it's"})
    assert class_names(profile) == {
        "0": ClassName("no package", COLOURS[1], "2"),
        "1": ClassName("parcel", COLOURS[0], "1"),
        "2": ClassName("it's", COLOURS[2], "3"),
    }
    with pytest.raises(UserError, match="1 is called parcel already"):
        set_class_names(lake.spark, profile, {"3": "parcel"})
    history = CLASSES.load(lake.spark, profile).history().orderBy("version").collect()
    messages = [version["userMetadata"] for version in history]
    assert messages == [None, "named 1=package, 0=no package", "named 1=parcel, 2=it's"]

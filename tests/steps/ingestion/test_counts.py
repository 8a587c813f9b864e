"""The classes of a landing zone, as they are said before anything is trained."""

import pytest

from steps.ingestion.counts import describe_classes
from steps.pipeline.outputs import IngestOutputs


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (
            {"labels": {"ants": 124, "bees": 120}, "labels_from": {"folder": 244}},
            "classes: ants 124, bees 120, from folders",
        ),
        (
            {"labels": {"1": 4, "0": 6}, "labels_from": {"name": 10}, "images": 12},
            "classes: 0 6, 1 4, from file names; 2 images without a label",
        ),
        (
            {"labels": {"ants": 9}, "labels_from": {"folder": 5, "table": 4}},
            "classes: ants 9, from folders (5) and a table (4)",
        ),
        ({"images": 7}, "classes: none; 7 images without a label"),
        (
            {"labels": {"ants": 9}, "labels_from": {"folder": 9},
             "splits": {"train": 5, "test": 4}},
            "classes: ants 9, from folders; the set's own split: test 4, train 5",
        ),
        (
            {"labels": {f"{n:02}": 99 - n for n in range(25)}, "labels_from": {"elsewhere": 2175}},
            f"classes: {', '.join(f'{n:02} {99 - n}' for n in range(20))}, and 5 more, "
            "from elsewhere",
        ),
        (
            {"labels": {"No Box": 2, "no  box": 9, "box": 8}, "labels_from": {"table": 19}},
            "classes: No Box 2, box 8, no  box 9, from a table; "
            "'No Box' and 'no  box': one label?",
        ),
        # an older run, which says less
        ({"labels": {"ants": 9, "bees": 8}}, "classes: ants 9, bees 8"),
    ],
)  # fmt: skip
def test_the_classes_are_listed_with_where_they_are_from(counts, says):
    images = counts.get("images", sum(counts.get("labels", {}).values()))
    others = {"new_images": 0, "duplicates": 0, "quarantined": 0, "labels": {}, "images": images}
    where = {"table": "file:/lake/images", "version": 1, "source": "file:/zone"}
    assert describe_classes(IngestOutputs(**where, **others | counts)) == says

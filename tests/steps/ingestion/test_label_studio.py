"""Label Studio's JSON, as it exports it and as it is imported there."""

import json

import pytest

from steps.errors import UserError
from steps.ingestion.label_studio import format_task, parse_tasks


def task(image: str, *labels: str, data: dict | None = None, **annotation) -> dict:
    """A task as Label Studio 1.x exports it, with an annotation for each label."""
    results = [
        {
            "id": "Dx_aB91ISN",
            "type": "choices",
            "value": {"choices": [label]},
            "to_name": "image",
            "from_name": "choice",
            "origin": "manual",
        }
        for label in labels
    ]
    shared = {"completed_by": 1, "was_cancelled": False, "ground_truth": False, "lead_time": 4.2}
    annotations = [{"id": 7, "result": [one], **shared, **annotation} for one in results]
    return {
        "id": 1,
        "annotations": annotations,
        "file_upload": "1f2e3d4c-IMG_1.jpg",
        "drafts": [],
        "predictions": [{"result": [{"type": "choices", "value": {"choices": ["never"]}}]}],
        "data": {"image": image} | (data or {}),
        "project": 83,
    }


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/1/1f2e3d4c-IMG_1.jpg", "IMG_1.jpg"),
        ("/data/upload/1/1f2e3d4c-0badcafe-IMG_1.jpg", "0badcafe-IMG_1.jpg"),
        ("/data/local-files/?d=porch/a%253Ab.jpg", "a%3Ab.jpg"),
        ("https://example.com/a%20b.jpg?width=7", "a b.jpg"),
        ("s3://bucket/day/2026-07-13T03%3A04.jpg", "2026-07-13T03%3A04.jpg"),
        ("IMG_1.jpg", "IMG_1.jpg"),
    ],
)
def test_a_file_name_is_found_in_the_address_of_the_image(address, name):
    content = json.dumps([task(address, "Tür & 7")]).encode()
    assert parse_tasks(content, "file_name", "x.json") == [(name, "Tür & 7")]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([task("a.jpg", "0", "1")], [("a.jpg", "0"), ("a.jpg", "1")]),
        ([task("a.jpg", None, "nan")], [("a.jpg", "nan")]),
        ([task("a.jpg"), task("b.jpg", "1")], [("b.jpg", "1")]),
        ([task("a.jpg", "0", was_cancelled=True)], []),
        ([task("a.jpg", "0", data={"file_name": "other.jpg"})], [("other.jpg", "0")]),
        ([{"annotations": [], "data": {}}], []),
        ([], []),
    ],
)
def test_each_submitted_annotation_is_a_label(tasks, expected):
    assert parse_tasks(json.dumps(tasks).encode(), "file_name", "x.json") == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b'{"id": 1}',
        b"7",
        b'[{"image": "a.jpg", "choice": "1"}]',  # JSON-MIN
        b'[{"data": {}, "annotations": [{}]}]',
        b"[" * 100_000,
    ],
)
def test_another_file_is_refused_with_the_fix(content):
    with pytest.raises(UserError, match="x.json is not Label Studio's export .* choose JSON"):
        parse_tasks(content, "file_name", "x.json")


def test_a_key_that_the_tasks_lack_is_named():
    with pytest.raises(UserError, match="have no sha256 .* -P labels_by="):
        parse_tasks(json.dumps([task("a.jpg", "1")]).encode(), "sha256", "x.json")


def test_what_is_exported_is_imported():
    images = [
        {"path": "/in/a b.jpg", "file_name": "a b.jpg", "sha256": "5f", "label": "it's"},
        {"path": "/in/b.jpg", "file_name": "b.jpg", "sha256": "6a", "label": None},
    ]
    content = json.dumps([format_task(image) for image in images]).encode()
    for key in ("file_name", "path", "sha256"):
        assert parse_tasks(content, key, "x.json") == [(images[0][key], "it's")]

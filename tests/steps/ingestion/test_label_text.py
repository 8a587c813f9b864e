"""Labels that look the same are the same."""

import unicodedata

import pytest

from steps.ingestion.label_text import normalize_label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (unicodedata.normalize("NFD", "Tür"), "Tür"),
        ("Tür", "Tür"),
        (" shoes", "shoes"),
        ("shoes\u00a0\r\n", "shoes"),
        ("rubber  boots", "rubber  boots"),
        ("R&D", "R&D"),
        ("👟", "👟"),
        ("x" * 200, "x" * 200),
        ("Shoes", "Shoes"),
        ("", None),
        (" \t", None),
        (None, None),
    ],
)
def test_a_label_is_composed_and_trimmed(text, label):
    assert normalize_label(text) == label

"""The digest of a file: its code counts, and a remark does not."""

import pytest

from steps.pipeline import source_code
from steps.pipeline.source_code import code_digest

CODE = '''"""Bake a loaf."""

from pydantic import Field

TRAYS = 2
"""In the oven."""


class Loaf:
    """A loaf."""

    minutes: int = Field(40, ge=1, description="in the oven, minutes")

    def bake(self, flour):
        """Bake it."""
        # heat first
        return mix(flour, description="rye")  # then wait
'''


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    monkeypatch.setattr(source_code, "PROJECT", tmp_path)
    file = tmp_path / "bake.py"

    def of(text: str) -> str:
        file.write_text(text, encoding="utf-8")
        return code_digest(file)

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Bake a loaf."""', '"""Bake."""'),
        ('"""Bake a loaf."""\n\n', ""),
        ('"""In the oven."""', ""),
        ('"""A loaf."""', '"""A loaf of bread."""'),
        ('"""Bake it."""', '"""Bake it for an hour.\n\n        Gently.\n        """'),
        ("        # heat first\n", ""),
        ("  # then wait", "  # then wait longer"),
        ("in the oven, minutes", "minutes in the oven"),
        (', description="in the oven, minutes"', ""),
        ("TRAYS = 2", "TRAYS = (\n    2\n)"),
    ],
)
def test_a_remark_does_not_change_it(digest_of, old, new):
    assert old in CODE
    assert digest_of(CODE.replace(old, new)) == digest_of(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TRAYS = 2", "TRAYS = 3"),
        ("TRAYS = 2", "TRAYS = 2.0"),
        ("TRAYS = 2", "TRAYS = '2'"),
        ("TRAYS = 2", "TRAYS += 2"),
        ("Field(40, ge=1", "Field(41, ge=1"),
        ("ge=1", "gt=1"),
        ('description="rye"', 'description="wheat"'),
        ("mix(flour", "knead(flour"),
        ("return mix", "yield mix"),
        ("def bake(self, flour)", "def bake(self, flour=None)"),
        ("class Loaf", "class Loaf(Bread)"),
    ],
)
def test_code_changes_it(digest_of, old, new):
    assert old in CODE
    assert digest_of(CODE.replace(old, new)) != digest_of(CODE)


def test_of_a_file_that_is_no_python_every_byte_counts(tmp_path):
    page = tmp_path / "page.j2"
    page.write_text("{# a remark #}")
    before = code_digest(page)
    page.write_text("{# another #}")
    assert code_digest(page) != before


def test_every_python_gives_the_same_digest(digest_of):
    """3.12 has type parameters of functions, and empty parts of f-strings, that 3.11 has not."""
    label = "def label(self, width):\n    return f'{self:<{width}}' if width else f'{self}'\n"
    assert digest_of(f"{CODE}\n\n{label}") == (
        "1a28e6d551a05fa85e6183a34a5ff9d8c4eea91c323b2bc9bf9808962a8a1eca"
    )

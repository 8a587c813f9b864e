"""Code, help, templates and docs use the field's own words, each thing by one name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from doc_lines import TOP, report

ROOMS = ("steps", "edge", "benchmarks", "tests", "docs", "profiles", "setup", ".ci")
KINDS = {".py", ".md", ".yaml", ".toml", ".sh", ".html", ".j2", ".txt", ".service", ""}
THIS = Path(__file__).relative_to(TOP).as_posix()


class Word(NamedTuple):
    """A word that is not used, as a regular expression, and the one that is.

    It may stand within an identifier: ``_`` is a boundary, a lower-case letter is none.
    """

    pattern: str
    instead: str


WORDS = (
    Word("pictures?", "image"),
    Word("held[- _]out[ _]parts?", "test set, test split"),
    Word("told apart", "classified"),
    Word("golden", "reference images"),
    Word("anew", "again, recreated"),
    Word("mend(s|ed|ing|able)?", "fix"),
    Word("verdicts?", "result"),
    Word("judg(e|es|ed|ing|ements?)", "evaluate, evaluation, result"),
    Word("chains?", "pipeline"),
    Word("cards?", "report"),
    Word("(a|one|each|every|first|next|later|another) looks?(?! like)", "poll"),
    Word("look[ _]\\d", "poll"),
    Word("(take|takes|taken|taking|took)[ _]in", "ingest"),
    Word("cut[ _-]off", "interrupted"),
    Word("(go|goes|went|gone|going)[ _]on[ _]with", "resume, continue"),
    Word("complaints?", "health issues, validation errors"),
    Word("hopeless|left early", "pruned"),
    Word("first weights", "initial weights"),
    Word("(a|the|first|each) rings?", "rollout group"),
    Word("whoever", "who, anyone"),
    Word("ever more seldom|however few", "less and less often, even a few"),
    Word("parted", "split"),
)


class Allowed(NamedTuple):
    """Where a word is right: on lines that match ``line``, in files that match ``files``."""

    files: str
    line: str
    reason: str


ALLOWED = (
    Allowed(r"edge/|tests/edge/|docs/", r"card", "an SD card, or a panel of the device's page"),
    Allowed(r".*", r"itertools|chain[.(]|cert_chain", "names of Python's own libraries"),
    Allowed(r"benchmarks/", r"takes in a|, taken in", "a time that is taken, not a file"),
)


def _files() -> Iterator[Path]:
    yield from (TOP / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "MLproject"))
    yield from (TOP / name for name in ("conda.yaml", "pyproject.toml"))
    for room in ROOMS:
        for path in sorted((TOP / room).rglob("*")):
            known = path.suffix in KINDS and "__pycache__" not in path.parts
            if path.is_file() and known and path.relative_to(TOP).as_posix() != THIS:
                yield path


def _lines_with(word: Word) -> Iterator[str]:
    """``file:line`` and the line, wherever the word is and is not right."""
    pattern = re.compile(rf"(?<![A-Za-z])(?:{word.pattern})(?![a-z])", re.IGNORECASE)
    for path in _files():
        name = path.relative_to(TOP).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line) and not any(
                re.match(allowed.files, name) and re.search(allowed.line, line)
                for allowed in ALLOWED
            ):
                yield f"{name}:{number}: {line.strip()}"


def test_the_files_are_found():
    assert len(list(_files())) > 400


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.pattern)
def test_a_word_is_not_used(word):
    found = list(_lines_with(word))
    report([f"say {word.instead!r}:", *found] if found else [])


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("two pictures", True), ("_golden_part", True), ("picamera", False), ("chaining", False)],
)
def test_a_word_is_found_within_identifiers_alone(text, is_found):
    patterns = [rf"(?<![A-Za-z])(?:{word.pattern})(?![a-z])" for word in WORDS]
    assert any(re.search(pattern, text) for pattern in patterns) == is_found

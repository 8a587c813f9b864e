"""The lines of docs, scripts, help texts and messages, and the words of the commands in them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import yaml

TOP = Path(__file__).parents[2]
DOCS = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]
SCRIPTS = [
    *(TOP / "Makefile", TOP / "MLproject", TOP / "conda.yaml", TOP / ".ci/run"),
    *sorted((TOP / "setup").glob("*.sh")),
    *sorted((TOP / "profiles").glob("*.yaml")),
    *sorted(path for path in (TOP / "edge/install").iterdir() if path.is_file()),
]
PYTHON = sorted(
    path for room in ("steps", "edge", "benchmarks") for path in (TOP / room).rglob("*.py")
)
ENTRY_POINTS = list(yaml.safe_load((TOP / "MLproject").read_text())["entry_points"])
CONTINUED = re.compile(r"(?:.*\\\n)+.*")
OPEN = re.compile(r"[<>{}$…*]|\.\.\.")
"""In a word that stands for others, such as <step> or {name}."""

MADE_BY_THE_READER = {
    "steps/count.py": "the example of docs/extend.md",
    "profiles/nightly.yaml": "the example of docs/nightly.md",
}
"""Files that docs name and that are not there, and why."""


class Line(NamedTuple):
    """A line of text, and where it is: ``file:line``."""

    place: str
    text: str


def _on_one_line(match: re.Match[str]) -> str:
    """A command on several lines as one, followed by empty lines so that later ones keep theirs."""
    return re.sub(r"\\\n\s*", " ", match[0]) + "\n" * match[0].count("\n")


def lines_of(path: Path, text: str, first: int = 1) -> Iterator[Line]:
    """The lines of a file's text, a command that continues on the next line joined."""
    joined = CONTINUED.sub(_on_one_line, text)
    for number, line in enumerate(joined.splitlines(), first):
        yield Line(f"{path.relative_to(TOP)}:{number}", line)


def _string_literals(path: Path) -> Iterator[Line]:
    """String literals of a module, f-strings with ``{}`` for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    filled_in = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in filled_in for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            text = node.value
        else:
            continue
        yield from lines_of(path, text, node.lineno)


@cache
def docs() -> list[Line]:
    """The lines of README, CONTRIBUTING and docs/."""
    return [line for path in DOCS for line in lines_of(path, path.read_text(encoding="utf-8"))]


@cache
def everything() -> list[Line]:
    """Those, the lines of scripts and profiles, and the string literals of the code."""
    scripts = [line for path in SCRIPTS for line in lines_of(path, path.read_text("utf-8"))]
    return docs() + scripts + [line for path in PYTHON for line in _string_literals(path)]


@cache
def parameters_of(entry_point: str) -> set[str]:
    """The names of an entry point's parameters."""
    return set(import_module(f"steps.{entry_point}").STEP.parameters.model_fields)


def words_of(command: str) -> list[str]:
    """The words of a command, up to where prose, a comment or another command goes on."""
    command = re.split(r"`|\s#|\s\|\s|;|&&|\)(?:\s|$)", command)[0]
    return [word.strip("\"'") for word in re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", command)]


def report(problems: list[str]) -> None:
    """Fail with the problems, one a line."""
    assert not problems, "\n" + "\n".join(problems)

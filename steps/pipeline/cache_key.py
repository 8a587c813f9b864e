"""The cache key: equal keys mean that a step would compute the same again.

The project's own modules that a step imports are found by reading the import statements, not
by running them, so that a key costs milliseconds and an edit counts only where it is used.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from steps.settings.profile import PROJECT

PACKAGES = ("steps", "edge")
REPORTS = ("steps.reports", "steps.pipeline.report")
"""Left out, with what only they import: a report decides nothing that a step returns."""

LOCK = PROJECT / "requirements.lock"
NAMED = re.compile(r"""["']([\w.-]+\.\w+)["']""")
"""A string that could be the name of a file."""

SHOWN = 3
"""Differences that are told one by one."""

Parts = dict[str, dict[str, Any]]


def key_parts(
    module: str,
    parameters: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, str],
    state: str,
) -> Parts:
    """Everything that decides a step's result.

    Args:
        module: the step's module; its import closure counts.
        parameters: the step's parameters with their values, run IDs apart.
        settings: the part of the profile that the step reads.
        inputs: run ID by step.
        state: what else the step reads.
    """
    closure = {path.relative_to(PROJECT).as_posix(): _digest(path) for path in sources(module)}
    return {
        "file": closure | {LOCK.name: _digest(LOCK)},
        "parameter": parameters,
        "setting": settings,
        "input": inputs,
        "state": {"state": hashlib.sha256(state.encode()).hexdigest()},
    }


def cache_key(parts: Parts) -> str:
    """The hash over the parts: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def differences(old: Parts, new: Parts) -> str:
    """What of a key is another than it was, in words.

    >>> differences({"parameter": {"epochs": 30}}, {"parameter": {"epochs": 40}})
    'parameter epochs is 40 and was 30'
    """
    found = each_difference(old, new)
    shown = ", ".join(found[:SHOWN])
    return f"{shown} and {len(found) - SHOWN} more" if len(found) > SHOWN else shown


def each_difference(old: Parts, new: Parts) -> list[str]:
    """The same, one by one; of what is a section, each key by itself."""
    return [
        _difference(kind, name, before, now)
        for kind, values in new.items()
        for name, before, now in _leaves("", old.get(kind, {}), values)
    ]


def _leaves(above: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """What differs between two values: its dotted name, what was there, and what is."""
    if old == new:
        return
    sections = [{} if value is None else value for value in (old, new)]
    if all(isinstance(section, dict) for section in sections):
        was, now = sections
        inside = [
            leaf
            for name in sorted({*was, *now})
            for leaf in _leaves(f"{above}.{name}" if above else name, was.get(name), now.get(name))
        ]
        if inside or not above:
            yield from inside
            return
    yield above, old, new


def _difference(kind: str, name: str, old: Any, new: Any) -> str:
    if kind == "file":
        return f"{name} {'is new' if old is None else 'is gone' if new is None else 'changed'}"
    if kind == "input":
        return f"{name} is another run"
    if kind == "state":
        return "what it reads changed"
    now, was = ("empty" if value in ("", [], {}) else value for value in (new, old))
    return f"{kind} {name} is {now} and was {was}"


def sources(module: str) -> list[Path]:
    """The project's own files that a module is made of: itself and all that it imports, sorted.

    A file beside a module that the module names in a string counts too, such as a template. The
    reports (:data:`REPORTS`) do not.
    """
    found: set[Path] = set()
    file_of = cache(_file_of)  # for this once: files come and go
    waiting = [file_of(module)]
    while waiting:
        path = waiting.pop()
        if path is None or path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting += [file_of(name) for name in _imports(path) if not _is_report(name)]
            waiting += [
                path.parent / name for name in _named(path) if (path.parent / name).is_file()
            ]
    return sorted(found)


def _is_report(module: str) -> bool:
    return any(f"{module}.".startswith(f"{report}.") for report in REPORTS)


@cache
def _imports(path: Path) -> frozenset[str]:
    """The modules that a file's import statements name, and the packages that these are in."""
    folder = path.relative_to(PROJECT).parent.parts
    names: set[str] = set()
    for node in _statements(ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) + 1 - node.level] if node.level else ()
            module = ".".join([*start, node.module] if node.module else start)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(
        package
        for name in names
        if name.split(".")[0] in PACKAGES
        for package in accumulate(name.split("."), "{}.{}".format)
    )


def _statements(body: list) -> Iterator[ast.AST]:
    """All statements below some: their expressions, which are many, import nothing."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(statement, inner, []))


@cache
def _named(path: Path) -> frozenset[str]:
    """The strings of a module that could be names of files."""
    return frozenset(NAMED.findall(path.read_text(encoding="utf-8")))


def _file_of(module: str) -> Path | None:
    path = PROJECT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

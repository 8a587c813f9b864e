"""The project's own code that a module is made of, read from its source and never run.

Remarks are no code: comments, docstrings and the help of parameters change no digest.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from steps.settings.profile import PROJECT

PACKAGES = ("steps", "edge")
REPORTS = ("steps.reports", "steps.pipeline.report")
"""Left out, with what only they import: a report decides nothing that a step returns."""

NAMED = re.compile(r"""["']([\w.-]+\.\w+)["']""")
"""A string that could be the name of a file."""

HELP = ("Field", "description")
"""The call and its keyword that explain a parameter."""


class _Source(NamedTuple):
    """A source file: what it imports, the files that it may name, and the digest of its code."""

    imports: frozenset[str]
    named: frozenset[str]
    digest: str


def sources(module: str) -> list[Path]:
    """Return the project's own files that a module is made of: itself and its imports, sorted.

    A file beside a module that the module names in a string counts too, such as a template. The
    reports (:data:`REPORTS`) do not.
    """
    found: set[Path] = set()
    file_of = cache(_file_of)  # for this call only: files come and go
    waiting = [file_of(module)]
    while waiting:
        path = waiting.pop()
        if path is None or path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            source = _source(path)
            waiting += [file_of(name) for name in source.imports if not _is_report(name)]
            waiting += [
                path.parent / name for name in source.named if (path.parent / name).is_file()
            ]
    return sorted(found)


def code_digest(path: Path) -> str:
    """Return the SHA-256 of a file's code without remarks; of a file that is no Python, of all."""
    if path.suffix == ".py":
        return _source(path).digest
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_report(module: str) -> bool:
    return any(f"{module}.".startswith(f"{report}.") for report in REPORTS)


def _file_of(module: str) -> Path | None:
    path = PROJECT.joinpath(*module.split("."))
    return next(filter(Path.is_file, (path.with_suffix(".py"), path / "__init__.py")), None)


def _source(path: Path) -> _Source:
    state = path.stat()
    return _read(path, path.relative_to(PROJECT).parent.parts, state.st_mtime_ns, state.st_size)


@cache
def _read(path: Path, package: tuple[str, ...], modified: int, size: int) -> _Source:
    """Parse a file, once as long as it is the same."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return _Source(
        imports=_imports(tree, package),
        named=frozenset(NAMED.findall(text)),
        digest=hashlib.sha256(repr(_without_remarks(tree)).encode()).hexdigest(),
    )


def _imports(tree: ast.Module, package: tuple[str, ...]) -> frozenset[str]:
    """Return the modules that import statements name, and the packages that these are in."""
    names: set[str] = set()
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*start, node.module] if node.module else start)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(
        above
        for name in names
        if name.split(".")[0] in PACKAGES
        for above in accumulate(name.split("."), "{}.{}".format)
    )


def _statements(body: list[Any]) -> Iterator[ast.AST]:
    """Yield all statements below some: their expressions, which are many, import nothing."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(statement, inner, []))


def _without_remarks(node: Any) -> Any:
    """Return a syntax tree as nested lists, without positions, bare strings and help texts."""
    if isinstance(node, list):
        return [_without_remarks(item) for item in node if not _is_bare_string(item)]
    if isinstance(node, ast.Name):
        return ["Name", node.id]  # most nodes are names; whether it is set follows from its place
    if isinstance(node, ast.Constant):
        return ["Constant", node.value]
    if isinstance(node, ast.JoinedStr):  # an empty part says nothing, and only 3.12 has some
        parts = (part for part in node.values if not _is_empty(part))
        return ["JoinedStr", [*map(_without_remarks, parts)]]
    if not isinstance(node, ast.AST):
        return node
    # Python 3.12 gives functions and classes type parameters, which 3.11 cannot read: none here
    fields = [getattr(node, name) for name in node._fields if name != "type_params"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == HELP[0]:
        explained = [keyword for keyword in node.keywords if keyword.arg != HELP[1]]
        fields = [node.func, node.args, explained]
    return [type(node).__name__, *map(_without_remarks, fields)]


def _is_empty(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value == ""


def _is_bare_string(statement: Any) -> bool:
    """Whether a statement is only a string: a docstring of a module, class, function or value."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

"""Reads a TOML file as typed settings; every error is one line that names the key and the file."""

import dataclasses
import math
import tomllib
import types
import typing
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from edge.inference.errors import UserError
from edge.inference.region import Region

Table = TypeVar("Table")
"""A dataclass that a table of the file becomes."""


class SettingsError(UserError):
    """A settings file cannot be used."""


NOT_IN_FILES = {"is_in_files": False}
"""Metadata of a dataclass field that no settings file sets."""


def number_within(default: Any, least: float, most: float = math.inf) -> Any:
    """Return a settings file's field for a number, or several, from ``least`` to ``most``."""
    return dataclasses.field(default=default, metadata={"bounds": (least, most)})


def filled(what: str) -> dict[str, str]:
    """Return the metadata of a field that must not be blank; ``what`` says what to write."""
    return {"what": what}


def read_settings(kind: type[Table], path: Path) -> Table:
    """Read a TOML file as a dataclass whose fields are values, or dataclasses for its tables.

    Raises:
        SettingsError: the file does not exist or is not TOML, or a key is unknown, missing or has
            a value that does not fit.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        is_refused = isinstance(error, PermissionError)
        fix = "put sudo before the command" if is_refused else "pass --config FILE"
        raise SettingsError(f"cannot read the settings {path} ({error.strerror}): {fix}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    return _read_table(kind, values, "", path)


def _read_table(kind: type[Table], values: Any, name: str, path: Path) -> Table:
    if not isinstance(values, dict):
        raise SettingsError(f"{name} in {path} must be a table: [{name}]")
    declared = dataclasses.fields(typing.cast(Any, kind))
    fields = {field.name: field for field in declared if field.metadata != NOT_IN_FILES}
    hints = typing.get_type_hints(kind)
    prefix = f"{name}." if name else ""
    for key in values:
        if key not in fields:
            raise SettingsError(
                f"unknown key {prefix}{key} in {path}: use one of {', '.join(sorted(fields))}"
            )
    for key, field in fields.items():
        if key not in values and _is_required(field):
            raise SettingsError(f"missing key {prefix}{key} in {path}")
    read_values = {
        key: _read_value(hints[key], fields[key], value, f"{prefix}{key}", path)
        for key, value in values.items()
    }
    return kind(**read_values)


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _read_value(
    hint: Any, field: "dataclasses.Field[Any]", value: Any, name: str, path: Path
) -> Any:
    if typing.get_origin(hint) is types.UnionType:
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if dataclasses.is_dataclass(hint):
        return _read_table(typing.cast(type, hint), value, name, path)
    of = typing.get_args(hint)[-1:]
    if isinstance(value, dict) and of and dataclasses.is_dataclass(of[0]):
        kind = typing.cast(type, of[0])
        return {key: _read_table(kind, one, f"{name}.{key}", path) for key, one in value.items()}
    if _holds_nul(value):
        raise SettingsError(f"{name} in {path} holds the character NUL (\\u0000): remove it")
    if isinstance(value, str) and not value.strip() and (what := field.metadata.get("what")):
        raise SettingsError(f"{name} in {path} is {value!r}: write {what}")
    converted, expected = _convert(hint, value)
    if converted is None:
        raise SettingsError(f"{name} in {path} is {value!r}: it must be {expected}")
    if bounds := field.metadata.get("bounds"):
        (least, most), numbers = bounds, converted if isinstance(converted, tuple) else (converted,)
        if not all(least <= number <= most for number in numbers):
            allowed = f"{least} or more" if most == math.inf else f"from {least} to {most}"
            raise SettingsError(f"{name} in {path} is {value!r}: it must be {allowed}")
    return converted


def _holds_nul(value: Any) -> bool:
    """Return whether a text, or one below a table or a list, has what no path or name may have."""
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    return any(map(_holds_nul, value)) if isinstance(value, list) else "\0" in str(value)


def _path(value: Any) -> Path | None:
    with suppress(TypeError, RuntimeError):  # RuntimeError: ~name of a user that does not exist
        return Path(value).expanduser()
    return None


def _regions(value: Any) -> list[Region] | None:
    with suppress(TypeError, ValueError):
        return [Region.of(numbers) for numbers in value]
    return None


def _convert(hint: Any, value: Any) -> tuple[Any, str]:
    """Return the value as a type, or None if it is of another one, and that type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is tuple:
        is_complete = isinstance(value, list) and len(value) == len(arguments)
        is_valid = is_complete and all(type(item) is int for item in value)
        return (tuple(value) if is_valid else None), "[width, height]"
    if origin is list:
        return _regions(value), "a list of [x, y, width, height] in fractions of the image"
    if origin is dict:
        return (value if isinstance(value, dict) else None), "a table"
    if hint is float:
        return (float(value) if is_number else None), "a number"
    if hint is Path:
        return _path(value), "a path"
    names = {int: "a whole number", bool: "true or false", str: "text"}
    return (value if type(value) is hint else None), names[hint]

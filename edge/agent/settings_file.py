"""From a TOML file to typed settings: what does not fit is one line that names key and file."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from edge.inference.errors import UserError


class SettingsError(UserError):
    """A settings file cannot be used."""


Check = Callable[[Any], str | None]
"""Says what is wrong with a value, if anything."""


def fits(default: Any, check: Check) -> Any:
    """A setting with a default, and what its values have to fulfil."""
    return dataclasses.field(default=default, metadata={"check": check})


def between(least: float, most: float) -> Check:
    """A number within bounds, both included; of several numbers, each."""

    def check(value: Any) -> str | None:
        numbers = value if isinstance(value, tuple) else (value,)
        within = all(least <= number <= most for number in numbers)
        return None if within else f"it has to be from {least} to {most}"

    return check


def at_least(least: float) -> Check:
    """A number from some value up."""
    return lambda value: None if value >= least else f"it has to be {least} or more"


def one_of(names: Iterable[str]) -> Check:
    """One of some names, which are read at each check."""
    return lambda value: None if value in names else f"it has to be one of {', '.join(names)}"


def read(kind: type, path: Path) -> Any:
    """Read a TOML file as a dataclass whose fields are values, or dataclasses for its tables.

    Raises:
        SettingsError: there is no such file, it is no TOML, or a key is unknown, missing or has
            a value of another kind.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"cannot read the settings {path} ({error.strerror}): pass --config FILE"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    return _table(kind, values, "", path)


def _table(kind: type, values: Any, name: str, path: Path) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"{name} in {path} has to be a table: [{name}]")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    inside = f"{name}." if name else ""
    for key in values:
        if key not in fields:
            raise SettingsError(
                f"unknown key {inside}{key} in {path}: there are {', '.join(sorted(fields))}"
            )
    for key, field in fields.items():
        if key not in values and _is_required(field):
            raise SettingsError(f"missing key {inside}{key} in {path}")
    return kind(
        **{
            key: _value(hints[key], fields[key], value, f"{inside}{key}", path)
            for key, value in values.items()
        }
    )


def _is_required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _value(hint: Any, field: dataclasses.Field, value: Any, name: str, path: Path) -> Any:
    if typing.get_origin(hint) is types.UnionType:
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if dataclasses.is_dataclass(hint):
        return _table(hint, value, name, path)
    converted, wanted = _converted(hint, value)
    if converted is None:
        raise SettingsError(f"{name} in {path} is {value!r}: it has to be {wanted}")
    if wrong := field.metadata.get("check", lambda value: None)(converted):
        raise SettingsError(f"{name} in {path} is {value!r}: {wrong}")
    return converted


def _converted(hint: Any, value: Any) -> tuple[Any, str]:
    """The value as its kind (None where it is of another), and that kind in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is tuple:
        whole = isinstance(value, list) and len(value) == len(arguments)
        good = whole and all(type(item) is int for item in value)
        return (tuple(value) if good else None), "[width, height]"
    if origin is dict:
        return (value if isinstance(value, dict) else None), "a table"
    if hint is float:
        return (float(value) if is_number else None), "a number"
    if hint is Path:
        return (Path(value).expanduser() if isinstance(value, str) else None), "a path"
    kinds = {int: "a whole number", bool: "true or false", str: "text"}
    return (value if type(value) is hint else None), kinds[hint]

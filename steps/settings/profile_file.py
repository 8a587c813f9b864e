"""The files of profiles: finding them, merging what they extend, and environment variables."""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from steps.atomic import write_atomically
from steps.errors import UserError

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
"""``${NAME}``, or ``${NAME:-its value if it is not set}``."""

EXTENDS = "extends"
"""The key that names the profile whose values a file takes if it has none of its own."""


class ProfileFile(NamedTuple):
    """The content of a profile's file.

    Attributes:
        path: of the file.
        values: every key, those of the profiles that it extends included; ``${NAME}`` and
            ``${NAME:-default}`` replaced by the environment's.
        shown: the same with ``${NAME}`` left as it is, so that it may be logged.
        overriding: the values that the command line replaced.
    """

    path: Path
    values: dict[str, Any]
    shown: dict[str, Any]
    overriding: dict[str, Any]

    def overrides(self, place: tuple[int | str, ...]) -> bool:
        """Return whether a key or one below it is from the command line."""
        value: Any = self.overriding
        for part in place:
            if not isinstance(value, dict):
                return True  # a key above it was replaced
            if part not in value:
                return False
            value = value[part]
        return bool(place)


def read_profile_file(name: str, folder: Path, overrides: str = "") -> ProfileFile:
    """Find a profile by its name in a folder, or by its path, and read it.

    ``extends: <name or path>`` takes the values that this one lacks from another profile; sections
    are merged key by key.

    Args:
        name: ``local`` for ``<folder>/local.yaml``, or a path that ends in ``.yaml``.
        folder: of the project's profiles.
        overrides: ``key=value`` with commas between; a dot leads into a section, as in
            ``training.processes=4``.

    Raises:
        UserError: the profile does not exist, is not YAML or extends itself, or an environment
            variable is missing.
    """
    path = _find(name, folder)
    overriding = _parsed(overrides)
    shown = _merged(_extended(path, folder, ()), overriding)
    return ProfileFile(path, _expand_variables(shown, path), shown, overriding)


def write_sections(path: Path, folder: Path, sections: dict[str, Any]) -> None:
    """Replace sections of a profile's file, and keep its other lines with their comments.

    Args:
        path: of the file.
        folder: of the project's profiles, as :func:`read_profile_file`.
        sections: what the file has afterwards, also with what it extends.

    Raises:
        UserError: the file cannot be written, or takes more for a section from another one.
    """
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    for key, value in sections.items():
        line = f"{key}: " + json.dumps(value).replace("#", "\\u0023")  # JSON is YAML
        # up to the next line that begins at the margin; what is remarked behind the key stays
        old = re.search(rf"^{key}:[^#\n]*(#.*)?\n(?:[ \t-].*\n|\n(?=[ \t-]))*", text, re.MULTILINE)
        start, end = old.span() if old else (len(text), len(text))
        remark = f"  {old[1]}" if old and old[1] else ""
        text = f"{text[:start]}{line}{remark}\n{text[end:]}"
    try:
        write_atomically(str(path), text.encode(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make it writable") from error
    values = read_profile_file(str(path), folder).values
    if more := [key for key in sections if values[key] != sections[key]]:
        raise UserError(f"{path} extends a profile with {' and '.join(more)}: remove them there")


def _find(name: str, folder: Path, extended_by: Path | None = None) -> Path:
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        missing = f"there is no profile {name!r} ({path})"
        if extended_by:
            raise UserError(
                f"{extended_by}: {EXTENDS}: {missing}; name one of: {known}, or a file's path"
            )
        raise UserError(f"{missing}; pass -P profile=<one of: {known}>")
    return path


def _extended(path: Path, folder: Path, before: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in before:
        raise UserError(f"{path} extends itself; remove its extends")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a mapping of keys to values")
    base = content.pop(EXTENDS, None)
    if base is None:
        return content
    below = _extended(_find(str(base), folder, path), folder, (*before, path.resolve()))
    return _merged(below, content)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return below | above | both


def _parsed(overrides: str) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for item in filter(None, overrides.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"{item!r} is not <key>=<value>; pass -P override=<key>=<value>,…")
        *sections, last = key.strip().split(".")
        place = parsed
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"-P override sets both {section!r} and {item!r}; set one of them")
        try:
            place[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                f"-P override={item} has no valid YAML after the =, or has a comma in its "
                "value; quote it, or put it into a profile that extends this one"
            ) from error
    return parsed


def _expand_variables(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _expand_variables(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand_variables(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def of_environment(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            if match[2] is not None:
                return str(match[2])
            raise UserError(f"{path} needs the environment variable {match[1]}: export it first")
        return os.environ[match[1]]

    return VARIABLE.sub(of_environment, value)

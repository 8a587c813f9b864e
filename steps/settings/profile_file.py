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

BEHIND_KEY = re.compile(r":[ \t]*(#[^\r\n]*)")
"""A remark on the line of a key whose value follows below."""

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
    """Replace sections of a profile's file, and keep all that is outside them, comments included.

    Args:
        path: of the file.
        folder: of the project's profiles, as :func:`read_profile_file`.
        sections: what the file has afterwards, also with what it extends.

    Raises:
        UserError: the file cannot be written, takes more for a section from another one, or would
            have other values in its other sections. It is as it was then.
    """
    old, text, keys = (
        _extended(path, folder, ()),
        path.read_bytes().decode(),
        " and ".join(sections),
    )
    try:
        for key, value in sections.items():
            text = _replaced(text, key, value)
        new, own = _extended(path, folder, (), text), yaml.safe_load(text)
        is_safe = own == own | sections and new | sections == old | sections
    except (yaml.YAMLError, UserError):
        is_safe = False
    if not is_safe:
        raise UserError(f"{path}: {keys} cannot be written without a loss; edit them in the file")
    if more := [key for key in sections if new[key] != sections[key]]:
        raise UserError(f"{path} extends a profile with {' and '.join(more)}: remove them there")
    try:
        write_atomically(str(path), text.encode(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make it writable") from error


def _replaced(text: str, key: str, value: Any) -> str:
    """Return the text of a profile with another value of a key; it is the last one if it is new."""
    line = f"{key}: {json.dumps(value, ensure_ascii=False)}"  # JSON is YAML
    root = yaml.compose(text, yaml.SafeLoader)
    for name, old in root.value if isinstance(root, yaml.MappingNode) else ():
        if name.value == key:
            start, after = name.start_mark.index, name.end_mark.index
            end = max(after, _end(old))  # an alias ends where its anchor does
            remark = BEHIND_KEY.match(text, after, end)
            return f"{text[:start]}{line}{f'  {remark[1]}' if remark else ''}{text[end:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    between = newline if text and not text.endswith("\n") else ""
    return f"{text}{between}{line}{newline}"


def _end(node: yaml.Node) -> int:
    """Return where a value ends; by its mark, what follows on an indented one belongs to it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


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


def _extended(
    path: Path, folder: Path, before: tuple[Path, ...], text: str | None = None
) -> dict[str, Any]:
    """Return what a file has, or would have with a text, and what it takes from others."""
    if path.resolve() in before:
        raise UserError(f"{path} extends itself; remove its extends")
    try:
        content = yaml.safe_load(path.read_text("utf-8") if text is None else text) or {}
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

"""What is wrong with what a user typed or wrote, in one line."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

GUESSES = 3
"""Most names that are suggested for an unknown one."""
NEAR = 0.75
"""How similar a name has to be to be suggested, 0–1."""

_NO_SUCH_KEY = "extra_forbidden"
_WORDS = {
    _NO_SUCH_KEY: "there is no such key",
    "missing": "this key is missing",
    **dict.fromkeys(("int_type", "int_parsing"), "{input!r} is not a whole number"),
    **dict.fromkeys(("int_from_float", "int_parsing_size"), "{input!r} is not a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "{input!r} is not a number"),
    "finite_number": "{input!r} is not a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "{input!r} is neither true nor false"),
    "literal_error": "{input!r} is not {expected}",
    "greater_than": "{input} is too small: it has to be more than {gt:g}",
    "greater_than_equal": "{input} is too small: it has to be at least {ge:g}",
    "less_than": "{input} is too large: it has to be less than {lt:g}",
    "less_than_equal": "{input} is too large: it can be at most {le:g}",
    "string_type": "it has to be text",
    "too_short": "it needs at least {min_length}",
    "list_type": "it has to be a list",
    **dict.fromkeys(("dict_type", "model_type"), "it has to be a section with keys"),
}
"""Plainer than pydantic's, by the kind of mistake."""


def describe_validation_error(error: ValidationError) -> str:
    """Return a pydantic error in one line: each key with what is wrong about it."""
    return "; ".join(f"{key_of(item) or 'value'}: {describe_item(item)}" for item in error.errors())


def key_of(item: Any) -> str:
    """Return the dotted key of one of an error's items; empty for the whole."""
    return ".".join(map(str, item["loc"]))


def describe_item(
    item: Any, model: type[BaseModel] | None = None, above: tuple[str, ...] = ()
) -> str:
    """Return the message of one of an error's items; for an unknown key with the known ones.

    Args:
        item: of ``ValidationError.errors()``.
        model: what was validated and has the known keys.
        above: further keys that are allowed at the top.
    """
    known = _WORDS.get(item["type"])
    words = known and known.format(input=item["input"], **item.get("ctx", {}))
    words = words or str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == _NO_SUCH_KEY and model:
        *place, _ = item["loc"]
        return f"{words}, only {', '.join([*_known_keys(model, place), *(() if place else above)])}"
    return words


def did_you_mean(typed: str, names: Iterable[str]) -> str:
    """Return a question with similar names and a space; empty if there are none.

    >>> did_you_mean("epochs", ["source", "train_epochs"])
    'did you mean train_epochs? '
    """
    typed = typed.lower().replace("-", "_")
    near = typed and (
        [name for name in names if name.endswith(f"_{typed}")]
        or get_close_matches(typed, names, n=1, cutoff=NEAR)
        # misspelt and without the step's name in front
        or [name for name in names if get_close_matches(typed, [_bare(name)], cutoff=NEAR)]
    )
    return f"did you mean {' or '.join(near[:GUESSES])}? " if near else ""


def _bare(name: str) -> str:
    return name.partition("_")[2]


def _known_keys(model: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    """Return the keys of the section at a place; for a union, those of all its models."""
    models = [model]
    for part in place:
        # the keys of a dict lead to no other model
        fields = [one.model_fields[part] for one in models if part in one.model_fields]
        models = [inner for field in fields for inner in _models(field.annotation)] or models
    return [name for one in models for name in one.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]

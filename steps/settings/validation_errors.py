"""What does not fit in what a user typed or wrote, in one line."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

GUESSES = 3
"""Names that are offered at the most for one that does not exist."""
NEAR = 0.75
"""How alike two names have to be for one to be a guess at the other, 0–1."""

_NO_SUCH_KEY = "extra_forbidden"
_WORDS = {_NO_SUCH_KEY: "there is no such key", "missing": "this key is missing"}
"""Plainer than pydantic's, for what a profile may get wrong most often."""


def describe(error: ValidationError) -> str:
    """A pydantic error in one line: each key with what is wrong about it."""
    return "; ".join(f"{key_of(item) or 'value'}: {said(item)}" for item in error.errors())


def key_of(item: Any) -> str:
    """The dotted key that one of an error's items is about; empty for the whole."""
    return ".".join(map(str, item["loc"]))


def said(item: Any, model: type[BaseModel] | None = None, above: tuple[str, ...] = ()) -> str:
    """What one of an error's items says; of an unknown key also those that there are.

    Args:
        item: of ``ValidationError.errors()``.
        model: what was validated, whose keys are told.
        above: keys that may stand beside the model's own though it does not know them.
    """
    words = _WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
    if item["type"] == _NO_SUCH_KEY and model:
        *place, _ = item["loc"]
        return f"{words}, only {', '.join([*_keys(model, place), *(() if place else above)])}"
    return words


def did_you_mean(typed: str, names: Iterable[str]) -> str:
    """A question with the names that may be meant, ended by a blank; empty where none is near.

    >>> did_you_mean("epochs", ["source", "train_epochs"])
    'did you mean train_epochs? '
    """
    typed = typed.lower().replace("-", "_")
    near = (
        [name for name in names if name.endswith(f"_{typed}")]
        or get_close_matches(typed, names, n=1, cutoff=NEAR)
        # misspelt and without the step's name before it
        or [name for name in names if get_close_matches(typed, [_bare(name)], cutoff=NEAR)]
    )
    return f"did you mean {' or '.join(near[:GUESSES])}? " if near else ""


def _bare(name: str) -> str:
    return name.partition("_")[2]


def _keys(model: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    """The keys of the section at a place; of one that may be of several kinds, those of all."""
    models = [model]
    for part in place:
        # the names of a dict's entries lead to no other model
        fields = [one.model_fields[part] for one in models if part in one.model_fields]
        models = [inner for field in fields for inner in _models(field.annotation)] or models
    return [name for one in models for name in one.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]

"""The search space in Hyperopt's terms: a choice by its index, steps counted from ``low``."""

import math
from typing import Any

from steps.settings.search_space import Choice, Range, SearchSpace
from steps.training.networks import FROZEN


def narrow_space(space: SearchSpace, network: str) -> SearchSpace:
    """Return the part of a space that is searched for a network.

    A frozen network has one width, and features of one strength of augmentation.
    """
    space = space.model_copy(update={"network": Choice(choices=[network])})
    if network not in FROZEN:
        return space
    return space.model_copy(update={"width": None, "augmentation": None})


def to_hyperopt(space: SearchSpace) -> dict[str, Any]:
    """Return the search space as Hyperopt takes it."""
    from hyperopt import hp

    def dimension(name: str, of: Range | Choice) -> Any:
        if isinstance(of, Choice):
            return hp.choice(name, [cast_value(name, value) for value in of.choices])
        if of.scale == "log":
            return hp.loguniform(name, math.log(of.low), math.log(of.high))
        if of.step:
            return of.low + of.step * hp.quniform(name, -0.5, _steps(of) + 0.5, 1)
        return hp.uniform(name, of.low, of.high)

    return {name: dimension(name, of) for name, of in space.searched().items()}


def to_point(values: dict[str, Any], space: SearchSpace) -> dict[str, float]:
    """Return hyperparameters as a point of the space; those outside are moved to its border."""

    def coordinate(name: str, of: Range | Choice) -> float:
        value = cast_value(name, values[name])
        if isinstance(of, Choice):
            choices = [cast_value(name, choice) for choice in of.choices]
            return choices.index(value) if value in choices else 0
        within = min(max(value, of.low), of.high)
        return float(round((within - of.low) / of.step)) if of.step else within

    return {name: coordinate(name, of) for name, of in space.searched().items()}


def cast_value(name: str, value: Any) -> Any:
    """Return a hyperparameter in the type of its field of ``Plan``: float, int or str."""
    return {"network": str, "batch_size": int}.get(name, float)(value)


def _steps(of: Range) -> int:
    return int((of.high - of.low) / (of.step or 1) + 1e-9)

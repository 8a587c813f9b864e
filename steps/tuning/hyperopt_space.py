"""The search space as Hyperopt counts it: a choice by its place in the list, steps from ``low``."""

import math
from typing import Any

from steps.settings.search_space import Choice, Range, SearchSpace


def hyperopt_space(space: SearchSpace) -> dict[str, Any]:
    """The search space as Hyperopt takes it; steps are counted from ``low``."""
    from hyperopt import hp

    def dimension(name: str, of: Range | Choice):
        if isinstance(of, Choice):
            return hp.choice(name, [typed(name, value) for value in of.choices])
        if of.scale == "log":
            return hp.loguniform(name, math.log(of.low), math.log(of.high))
        if of.step:
            return of.low + of.step * hp.quniform(name, -0.5, _steps(of) + 0.5, 1)
        return hp.uniform(name, of.low, of.high)

    return {name: dimension(name, of) for name, of in space.searched().items()}


def point_of(values: dict[str, Any], space: SearchSpace) -> dict[str, float]:
    """Where hyperparameters are in the space, as Hyperopt counts; those outside at its border."""

    def place(name: str, of: Range | Choice) -> float:
        value = typed(name, values[name])
        if isinstance(of, Choice):
            choices = [typed(name, choice) for choice in of.choices]
            return choices.index(value) if value in choices else 0
        within = min(max(value, of.low), of.high)
        return float(round((within - of.low) / of.step)) if of.step else within

    return {name: place(name, of) for name, of in space.searched().items()}


def typed(name: str, value: Any) -> Any:
    """A hyperparameter as the field of ``Plan`` has it: a float, an int or a string."""
    return {"network": str, "batch_size": int}.get(name, float)(value)


def _steps(of: Range) -> int:
    return int((of.high - of.low) / (of.step or 1) + 1e-9)

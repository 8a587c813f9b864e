"""The last fit: once a training has shown how long to train, on all images but the test split."""

from dataclasses import replace
from typing import Any

from steps.dataset.cache import Cache
from steps.training.feature_cache import REST
from steps.training.fit import fit
from steps.training.fit_result import FitResult
from steps.training.plan import Plan
from steps.training.ranks import Horovod, SingleProcess, print_line


def fit_fully(
    plan: Plan, cache: Cache, ranks: SingleProcess | Horovod, **options: Any
) -> FitResult:
    """Train as :func:`~steps.training.fit.fit` does, then make a frozen network's last fit.

    Its head is fitted again on the training and the validation split together, for as many epochs
    as were best. It takes seconds; a network that is trained as a whole would take its time again,
    so that it leaves the validation split out.

    Args:
        plan: how to train.
        cache: the prepared images, or a frozen network's features of them.
        ranks: this rank among the others.
        options: the other arguments of ``fit``, for the first of the two.
    """
    result = fit(plan, cache, ranks, **options)
    if cache.has_features:
        if ranks.rank == 0:
            count = f"{result.best + 1} epochs" if result.best else "1 epoch"
            print_line(f"fitting again on training and validation images, {count} …")
        again = replace(plan, epochs=result.best + 1, patience=0)
        result.last_weights = fit(again, replace(cache, fitted=REST), ranks).weights
    return result

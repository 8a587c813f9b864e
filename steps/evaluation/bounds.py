"""The bounds of a profile: of metrics, and of what a network may cost a device."""

from steps.evaluation.metric_names import metric_as_written
from steps.settings.profile import Bound, Promotion


def cost_errors(metrics: dict[str, float], rules: Promotion) -> list[str]:
    """Return why a network costs a device too much, by its ``onnx_bytes`` and ``latency_ms``."""
    limits = {"onnx_bytes": rules.max_onnx_bytes, "latency_ms": rules.max_latency_ms}
    bounds = {name: Bound(max=limit) for name, limit in limits.items() if limit is not None}
    return bound_errors(metrics, bounds)


def bound_errors(metrics: dict[str, float], bounds: dict[str, Bound]) -> list[str]:
    """Return which metrics are missing or out of bounds, and how."""
    found = {name: metrics.get(name, metrics.get(metric_as_written(name))) for name in bounds}
    errors = (_error(name, found[name], bound) for name, bound in bounds.items())
    return [error for error in errors if error]


def _error(name: str, value: float | None, bound: Bound) -> str | None:
    if value is None:
        return f"the test images have no metric {name!r}"
    if bound.min is not None and not value >= bound.min:  # NaN is not either
        return f"{name} {value:.4g} is below the minimum, {bound.min:g}"
    if bound.max is not None and not value <= bound.max:
        return f"{name} {value:.4g} is above the maximum, {bound.max:g}"
    return None

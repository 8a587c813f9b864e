"""The cache key: equal keys mean that a step would compute the same again.

An edit counts only for the steps that use it, and a remark counts for none. A key costs
milliseconds.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from steps.pipeline.source_code import code_digest, sources
from steps.settings.profile import PROJECT

LOCK = PROJECT / "requirements.lock"
GPU_LOCK = PROJECT / "requirements-gpu.lock"
SHOWN = 3
"""Differences that are listed one by one."""

Parts = dict[str, dict[str, Any]]


def key_parts(
    module: str,
    parameters: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, str],
    state: str,
) -> Parts:
    """Return everything that decides a step's result.

    Args:
        module: the step's module; its import closure counts.
        parameters: the step's parameters with their values, run IDs apart.
        settings: the part of the profile that the step reads.
        inputs: run ID by step, or a tag of the run and its value.
        state: what else the step reads.
    """
    closure = {path.relative_to(PROJECT).as_posix(): code_digest(path) for path in sources(module)}
    return {
        "file": closure | {lock.name: _lock_digest(lock) for lock in _locks()},
        "parameter": parameters,
        "setting": settings,
        "input": inputs,
        "state": {"state": hashlib.sha256(state.encode()).hexdigest()},
    }


def input_key(run_id: str, tag: str | None) -> str:
    """Return what stands for a run in the keys of the steps that read it: a tag, else its ID."""
    value = tag and MlflowClient().get_run(run_id).data.tags.get(tag)
    return f"{tag} {value}" if value else run_id


def cache_key(parts: Parts) -> str:
    """Return the hash of the parts: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def differences(old: Parts, new: Parts) -> str:
    """Return what differs between two keys, in words.

    >>> differences({"parameter": {"epochs": 30}}, {"parameter": {"epochs": 40}})
    'parameter epochs is 40 and was 30'
    """
    found = each_difference(old, new)
    shown = ", ".join(found[:SHOWN])
    return f"{shown} and {len(found) - SHOWN} more" if len(found) > SHOWN else shown


def each_difference(old: Parts, new: Parts) -> list[str]:
    """Return the differences of two keys' parts one by one; of a section, each by itself."""
    return [
        _difference(kind, name, before, now)
        for kind, values in new.items()
        for name, before, now in _leaves("", old.get(kind, {}), values)
    ]


def _leaves(above: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two values: its dotted name, what was there, and what is."""
    if old == new:
        return
    was, now = ({} if value is None else value for value in (old, new))
    inside: list[tuple[str, Any, Any]] = []
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted({*was, *now}):
            inside += _leaves(f"{above}.{name}".lstrip("."), was.get(name), now.get(name))
    if inside or not above:
        yield from inside
    else:
        yield above, old, new


def _difference(kind: str, name: str, old: Any, new: Any) -> str:
    if kind == "file":
        return f"{name} {'is new' if old is None else 'is gone' if new is None else 'changed'}"
    if kind == "input":
        tag, _, value = str(new).partition(" ")
        return f"{tag.replace('_', ' ')} of {name} changed" if value else f"{name} is another run"
    if kind == "state":
        return "what it reads changed"
    now, was = ("empty" if value in ("", [], {}) else value for value in (new, old))
    return f"{kind} {name} is {now} and was {was}"


def _locks() -> list[Path]:
    """Return the locks that this environment is made from: without CUDA it has tensorflow-cpu."""
    return [LOCK, GPU_LOCK] if any(distributions(name="tensorflow")) else [LOCK]


def _lock_digest(lock: Path) -> str:
    """Return the digest of a lock without its comments, which only say why a package is there."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(packages).encode()).hexdigest()

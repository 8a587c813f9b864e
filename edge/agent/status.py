"""The device's status: for its page, for ``edge status``, and for the landing zone."""

from typing import Any

from edge.agent import machine
from edge.agent.parts import Parts
from edge.files.disk_space import free_megabytes
from edge.outbox.moment import Moment
from edge.outbox.sender import Sender
from edge.protocol.version import project_version

OVERDUE_SECONDS = 60.0
"""A device whose last frame is this much older than its period is unhealthy."""

UNSET_CLOCK = "the clock is not set, so nothing can be sent"
UNSET_SECONDS = 3600.0
"""After which an unset clock is a health issue."""

UNSENT_SECONDS = 600.0
"""For which the landing zone may be away, as networks are; the outbox grows meanwhile."""


LATE_SECONDS = 4500.0
"""A thread without a finished round for so long hangs: each has a deadline of an hour."""


def seconds_since_round(parts: Parts) -> dict[str, float]:
    """Return how long ago each thread finished a round."""
    rounds = {"watcher": parts.watcher.state.polled_at} | parts.rounds
    return {name: round(parts.clock.uptime() - at, 1) for name, at in rounds.items()}


def health_issues(parts: Parts, sender: Sender) -> list[str]:
    """Return what keeps the device from its work; nothing if it is healthy."""
    issues, state = [], parts.watcher.state
    if state.failure:
        issues.append(f"camera: {state.failure}")
    late = parts.clock.uptime() - state.polled_at - parts.settings.score.period_seconds
    if late > OVERDUE_SECONDS:
        issues.append(f"the next frame is {late:.0f} s overdue")
    for name, seconds in seconds_since_round(parts).items():
        if name != "watcher" and seconds > LATE_SECONDS:
            issues.append(f"the {name} has not finished a round for {seconds:.0f} s")
    for part in (parts.store, parts.queue, parts.results):
        if part.failure:
            issues.append(f"disk: {part.failure}")
    if parts.model and parts.model.failure:
        issues.append(f"model: {_model_failure(parts)}")
    unsent, since = sender.failure, sender.failing_since  # another thread changes them
    if unsent and since is not None and parts.clock.uptime() - since > UNSENT_SECONDS:
        issues.append(f"nothing can be sent: {unsent}")
    now = parts.clock.now()
    if not now.is_synced and now.uptime - parts.started.uptime > UNSET_SECONDS:
        issues.append(
            f"{UNSET_CLOCK}: connect a time server (timedatectl timesync-status), or set "
            "trust_clock = true"
        )
    return issues


def status(parts: Parts, sender: Sender) -> dict[str, Any]:
    """Return the device's status, ready for JSON."""
    now, state, issues = parts.clock.now(), parts.watcher.state, health_issues(parts, sender)
    model = parts.model.current if parts.model else None
    followed = parts.settings.model and parts.settings.model.name
    return {
        "device": parts.settings.device,
        "view": parts.settings.view,
        "agent_version": project_version(),
        "reported_at": _iso(now),
        "clock_synced": now.is_synced,
        "clock_failure": None if now.is_synced else UNSET_CLOCK,
        "started_at": _iso(parts.started.resolve(now) or parts.started),
        "healthy": not issues,
        "health_issues": issues,
        "seconds_since_round": seconds_since_round(parts),
        "model": model.model if model else followed,
        "model_version": model.version if model else None,
        "release": model.release if model else None,
        "region": parts.model.region if parts.model else None,
        "on_probation": bool(parts.updater and parts.updater.probation.is_active()),
        "model_failure": _model_failure(parts),
        "camera": parts.camera.model,
        "camera_failure": state.failure,
        "camera_restarts": state.restarts,
        "frames": state.frames,
        "last_frame_at": _iso(state.moment) if state.moment else None,
        **{name: getattr(state.result, name, None) for name in ("label", "score", "latency_ms")},
        "name": _label_name(parts),
        "kept": dict(state.kept),
        "queue": parts.queue.size(),
        "results": parts.results.size(),
        "counts": parts.store.counts(),
        **parts.actions.status(),
        "landing_failure": sender.failure,
        "last_sent_at": sender.sent_at,
        "registry_reached_at": parts.follower.reached_at if parts.follower else None,
        "temperature_celsius": machine.temperature(),
        "throttling": machine.throttling(),
        "memory_megabytes": round(machine.memory_megabytes(), 1),
        "free_megabytes": round(free_megabytes(parts.store.folder)),
        "recent_errors": list(state.recent_errors),
    }


def _label_name(parts: Parts) -> str | None:
    """Return what people call the label of the last frame; None if they have no name for it."""
    model, result = parts.model.current if parts.model else None, parts.watcher.state.result
    return model.scorer.record.names.get(result.label or "") if model and result else None


def _model_failure(parts: Parts) -> str | None:
    """Return what is wrong with the model in use, and why the last poll brought no other one."""
    model_or_poll = (parts.model, parts.follower)
    failures = [part.failure for part in model_or_poll if part and part.failure]
    if parts.updater and parts.updater.unsigned and not parts.updater.keys:
        failures.append("unsigned releases are accepted (model.unsigned is true)")
    now, known = parts.clock.now(), parts.updater and parts.updater.freshness
    if known and now.is_synced and (staleness := known.staleness(now.wall_time)):
        failures.append(staleness)
    return "; ".join(failures) or None


def _iso(moment: Moment) -> str:
    return moment.wall_time.isoformat(timespec="seconds")

"""What the device says of itself: to its page, to ``edge status``, and to the landing zone."""

from typing import Any

from edge.agent import machine
from edge.agent.parts import Parts
from edge.outbox.moment import Moment
from edge.outbox.sender import Sender

OVERDUE_SECONDS = 60.0
"""A device that should have looked this much longer ago than its period is not well."""

UNSET_CLOCK = "the clock is not set and everything waits for it"
UNSET_SECONDS = 3600.0
"""After which a clock that nobody has set is somebody's business."""

UNSENT_SECONDS = 600.0
"""For which a landing zone may be away, as networks are; what cannot be sent waits meanwhile."""


def health_issues(parts: Parts, sender: Sender) -> list[str]:
    """What keeps the device from its work; none where it is well."""
    found, seen = [], parts.watcher.seen
    if seen.failure:
        found.append(f"camera: {seen.failure}")
    late = parts.clock.uptime() - seen.looked_at - parts.settings.score.period_seconds
    if late > OVERDUE_SECONDS:
        found.append(f"the last look is {late:.0f} s overdue")
    if parts.model and parts.model.failure:
        found.append(f"model: {_model_failure(parts)}")
    unsent, since = sender.failure, sender.failing_since  # another thread changes them
    if unsent and since is not None and parts.clock.uptime() - since > UNSENT_SECONDS:
        found.append(f"nothing can be sent: {unsent}")
    now = parts.clock.now()
    if not now.is_synced and now.uptime - parts.started.uptime > UNSET_SECONDS:
        found.append(
            f"{UNSET_CLOCK}: let a time server be reached "
            "(timedatectl timesync-status), or set trust_clock = true"
        )
    return found


def status(parts: Parts, sender: Sender) -> dict[str, Any]:
    """The device's state, as JSON can hold it."""
    now, seen, wrong = parts.clock.now(), parts.watcher.seen, health_issues(parts, sender)
    current = parts.model.current if parts.model else None
    return {
        "device": parts.settings.device,
        "view": parts.settings.view,
        "reported_at": now.wall_time.isoformat(timespec="seconds"),
        "clock_set": now.is_synced,
        "clock_failure": None if now.is_synced else UNSET_CLOCK,
        "started_at": _iso(parts.started.resolve(now) or parts.started),
        "healthy": not wrong,
        "health_issues": wrong,
        "model": parts.settings.model.name if parts.settings.model else None,
        "model_version": current and str(current.version),
        "release": current and current.release,
        "on_probation": bool(parts.updater and parts.updater.probation.lasts()),
        "model_failure": _model_failure(parts),
        "camera": parts.camera.model,
        "camera_failure": seen.failure,
        "camera_restarts": seen.restarts,
        "frames": seen.frames,
        "last_frame_at": _iso(seen.moment),
        "label": seen.result and seen.result.label,
        "score": seen.result and seen.result.score,
        "latency_ms": seen.result and seen.result.latency_ms,
        "kept": dict(seen.kept),
        "queue": parts.queue.size(),
        "results": parts.results.size(),
        "counts": parts.store.counts(),
        "landing_failure": sender.failure,
        "last_sent_at": sender.sent_at,
        "temperature": machine.temperature(),
        "throttling": machine.throttling(),
        "memory_megabytes": round(machine.memory_megabytes(), 1),
        "free_megabytes": round(machine.free_megabytes(parts.store.folder)),
        "troubles": [{"at": at, "what": what} for at, what in list(seen.troubles)],
    }


def _model_failure(parts: Parts) -> str | None:
    """What is wrong with the model in use, and why the last poll brought no other one."""
    found = [part.failure for part in (parts.model, parts.follower) if part and part.failure]
    return "; ".join(found) or None


def _iso(moment: Moment | None) -> str | None:
    return moment.wall_time.isoformat(timespec="seconds") if moment else None

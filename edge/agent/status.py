"""What the device says of itself: to its page, to ``edge status``, and to the landing zone."""

from typing import TYPE_CHECKING, Any

from edge.agent import machine
from edge.agent.clock import Moment

if TYPE_CHECKING:
    from edge.agent.agent import Agent

OVERDUE_SECONDS = 60.0
"""A device that should have looked this much longer ago than its period is not well."""


def status(agent: "Agent") -> dict[str, Any]:
    """The device's state, as JSON can hold it."""
    now, seen = agent.clock.now(), agent.watcher.seen
    current = agent.model.current if agent.model else None
    return {
        "device": agent.settings.device,
        "view": agent.settings.view,
        "reported_at": now.shown.isoformat(timespec="seconds"),
        "clock_set": now.known,
        "started_at": agent.started.dated(now).shown.isoformat(timespec="seconds"),
        "healthy": not agent.complaints(),
        "complaints": agent.complaints(),
        "model": agent.settings.model.name if agent.settings.model else None,
        "model_version": current and str(current.version),
        "release": current and current.release,
        "on_probation": bool(agent.updater and agent.updater.on_probation()),
        "model_failure": agent.follower and agent.follower.failure,
        "camera": agent.camera.model,
        "camera_failure": seen.failure,
        "camera_restarts": seen.restarts,
        "frames": seen.frames,
        "last_frame_at": _iso(seen.moment),
        "label": seen.result and seen.result.label,
        "score": seen.result and seen.result.score,
        "latency_ms": seen.result and seen.result.ms,
        "kept": dict(seen.kept),
        "queue": agent.queue.size(),
        "results": agent.results.size(),
        "counts": agent.store.counts(),
        "landing_failure": agent.sender.failure,
        "last_sent_at": agent.sender.sent_at,
        "temperature": machine.temperature(),
        "throttling": machine.throttling(),
        "memory_megabytes": round(machine.memory_megabytes(), 1),
        "free_megabytes": round(machine.free_megabytes(agent.store.folder)),
        "troubles": [{"at": at, "what": what} for at, what in list(seen.troubles)],
    }


def _iso(moment: Moment | None) -> str | None:
    return moment and moment.shown.isoformat(timespec="seconds")

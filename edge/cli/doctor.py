"""What ``python -m edge doctor`` checks, and what it says of each."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edge.actions.kinds import make_actions
from edge.agent.clock import Clock
from edge.agent.settings import ModelSettings, Settings
from edge.agent.status import UNSET_CLOCK
from edge.cameras.kinds import make_camera
from edge.cli.running_status import OtherAnswerError, running_status
from edge.files.disk_space import disk_failure, free_megabytes
from edge.inference.errors import UserError, describe_error
from edge.outbox.bounded_call import BoundedCall
from edge.outbox.landing import Landing
from edge.outbox.sender import PUT_SECONDS
from edge.protocol.addresses import shown_address, without_userinfo
from edge.protocol.signature import KEYS_FILE, pinned_keys
from edge.update.registry import Registry

SETTINGS = {"camera": "camera", "server": "model", "landing zone": "landing", "disk": "store"}
"""The table of settings that a check is about."""


class Finding(NamedTuple):
    """What a check of the command doctor found.

    Attributes:
        name: of the check.
        failed: whether something has to be fixed.
        text: what was found, or what to do.
    """

    name: str
    failed: bool
    text: str


def findings(settings: Settings) -> Iterator[Finding]:
    """Run every check, and yield what it finds."""
    try:
        running = running_status(settings)
    except OtherAnswerError as error:
        running = None
        yield Finding("page", True, str(error))
    except UserError:
        running = None
    checks: dict[str, Callable[[], str]] = {
        "camera": lambda: _camera(settings, running),
        "server": lambda: _server(settings),
        "key": lambda: _key(settings),
        "landing zone": lambda: _landing(settings),
        "clock": lambda: _clock(settings, running),
        "disk": lambda: _disk(settings),
    }
    for name in settings.actions:
        checks[f"action {name}"] = partial(_action, settings, name)
    for name, check in checks.items():
        try:
            yield Finding(name, False, check())
        except UserError as error:
            yield Finding(name, True, without_userinfo(str(error), settings.landing.url))
        # a camera's driver or a file system raises what its library raises
        except Exception as error:
            why = without_userinfo(describe_error(error), settings.landing.url)
            yield Finding(name, True, f"{why}: check [{SETTINGS.get(name, 'actions')}]")


def _camera(settings: Settings, running: dict[str, Any] | None) -> str:
    if running is None:  # so no agent has it open
        camera = make_camera(settings.camera)
        with closing(camera):
            camera.open()
            with camera.shot() as shot:
                height, width = shot.frame().pixels.shape[:2]
        return f"{camera.model} gives {width} × {height} pixels"
    if running["camera_failure"]:
        raise UserError(running["camera_failure"])
    return f"the running agent has it, last frame {running['last_frame_at']}"


def _server(settings: Settings) -> str:
    if settings.model is None:
        return "none: images are taken but not scored; add [model] to change that"
    model = settings.model
    release = Registry(model.server).release(model.name, model.alias)
    release.require_trusted(_keys(settings, model), model.unsigned)
    return f"{model.name}, {model.alias}: version {release.version}, release {release.release}"


def _key(settings: Settings) -> str:
    if settings.model is None:
        return "not needed without [model]"
    if keys := _keys(settings, settings.model):
        return f"{len(keys)} pinned: only releases that one of them signed are installed"
    if settings.model.unsigned:
        return "none pinned, and unsigned releases are installed: model.unsigned is true"
    return f"none pinned yet: the first release pins its own in {settings.models / KEYS_FILE}"


def _keys(settings: Settings, model: ModelSettings) -> list[str]:
    return pinned_keys(Path(model.keys) if model.keys else None, settings.models)


def _landing(settings: Settings) -> str:
    landing = settings.landing
    # hidden, so that ingest does not read it
    name = f".doctor-{settings.device}"
    zone = Landing(landing.url, landing.options, landing.mount)
    BoundedCall().run(partial(zone.put, name, b"", replace=True), PUT_SECONDS)
    return f"{shown_address(landing.url)} takes files"


def _clock(settings: Settings, running: dict[str, Any] | None) -> str:
    now = Clock(settings.trust_clock).now()
    # the agent remembers that it was set before
    if not (running["clock_synced"] if running else now.is_synced):
        raise UserError(
            f"{UNSET_CLOCK}: connect a time server (timedatectl timesync-status), or set "
            "trust_clock = true"
        )
    return f"{now.wall_time.isoformat(timespec='seconds')}, set"


def _disk(settings: Settings) -> str:
    folder, at_least = settings.store.folder, settings.store.free_megabytes
    # one that is missing is not created here; asked first, since nobody may write a read-only disk
    if os.path.isdir(folder) and (failure := disk_failure(folder)):
        raise UserError(
            f"{failure}: make space (df -h and df -i say what is full), or replace the SD card"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"this user may not write to {folder}: create it, or change its owner")
    free = free_megabytes(folder)
    if free < at_least:
        raise UserError(
            f"{free:.0f} MB free, and {at_least:.0f} have to stay free: delete files, or lower "
            "store.free_megabytes"
        )
    return f"{free:.0f} MB free in {folder}"


def _action(settings: Settings, name: str) -> str:
    (action,) = make_actions({name: settings.actions[name]}, settings.device, dict)
    return action.check()

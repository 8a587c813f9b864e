"""The agent's settings: one typed object from one TOML file.

Each setting has its unit in its name or its comment; docs/device.md explains what it is for.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.actions.action import ActionSettings
from edge.actions.kinds import settings_error
from edge.actions.smoothing import StateSettings
from edge.cameras.camera import CameraSettings
from edge.cameras.kinds import CAMERAS, camera_class
from edge.files.settings_file import SettingsError, filled, number_within, read_settings
from edge.outbox.store import IMAGES
from edge.protocol.addresses import is_address, shown_address, web_address
from edge.protocol.landing_names import part_error


@dataclass(frozen=True)
class CaptureSettings:
    """``[capture]``: what is kept independent of the model."""

    period_seconds: float = number_within(600.0, 0, 31_536_000)  # 0: never
    motion: bool = False
    motion_share: float = number_within(0.02, 0.0001, 1)  # of the view that must change
    motion_pause_seconds: float = number_within(10.0, 1, 86_400)


@dataclass(frozen=True)
class ScoreSettings:
    """``[score]``: how often frames are scored, and which of them are kept for their score."""

    period_seconds: float = number_within(1.0, 0.01, 86_400)
    threads: int = number_within(1, 0, 64)  # 0: onnxruntime chooses
    margin: float = number_within(0.2, 0, 1)  # between the two likeliest; less is uncertain
    uncertain_per_hour: float = number_within(12.0, 0, 3600)
    control_per_day: float = number_within(4.0, 0, 86_400)  # drawn at random
    seed: int = number_within(1, least=0)  # of that draw


@dataclass(frozen=True)
class LandingSettings:
    """``[landing]``: where images, results and status go."""

    url: str = field(metadata=filled("a folder or an address: /mnt/landing or s3://images/landing"))
    options: dict[str, Any] = field(default_factory=dict)  # of fsspec's file system
    mount: str = ""  # a path that must be a mount point
    report_minutes: float = number_within(10.0, 0.1, 1440)  # between results and status files
    max_retry_seconds: float = number_within(600.0, 1, 86_400)


@dataclass(frozen=True)
class ModelSettings:
    """``[model]``: which registered model is followed."""

    server: str
    name: str = field(metadata=filled("the registered model's name, such as package-onnx"))
    alias: str = field(default="champion", metadata=filled("an alias, such as champion"))
    poll_seconds: float = number_within(300.0, 1, 86_400)
    keys: str = ""  # file of public keys; "": release-keys.txt in the models' folder
    unsigned: bool = False  # whether unsigned releases are installed while no key is trusted


@dataclass(frozen=True)
class StoreSettings:
    """``[store]``: what this device keeps until it is sent, and how much."""

    folder: Path = field(
        default=Path("/var/lib/lakehouse-vision"),
        metadata=filled("a folder, such as /var/lib/lakehouse-vision"),
    )
    images_megabytes: float = number_within(1000.0, 1, 1_000_000)
    free_megabytes: float = number_within(500.0, 0, 1_000_000)  # that stay free
    results: int = number_within(500_000, 100, 100_000_000)  # rows
    results_megabytes: float = number_within(500.0, 1, 1_000_000)


@dataclass(frozen=True)
class PageSettings:
    """``[page]``: the preview page and the health endpoint."""

    host: str = "127.0.0.1"
    port: int = number_within(8089, 0, 65_535)


@dataclass(frozen=True)
class Settings:
    """All settings; ``device`` names this device in file names and tables."""

    device: str
    landing: LandingSettings
    view: str = "porch"
    trust_clock: bool = False  # although neither a time server nor an RTC confirms it
    model: ModelSettings | None = None
    camera: CameraSettings = field(default_factory=CameraSettings)
    capture: CaptureSettings = CaptureSettings()
    score: ScoreSettings = ScoreSettings()
    store: StoreSettings = StoreSettings()
    page: PageSettings = PageSettings()
    state: StateSettings = field(default_factory=StateSettings)
    actions: dict[str, ActionSettings] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read a TOML file.

        Raises:
            SettingsError: one line that names the key and the file.
        """
        settings = read_settings(cls, path)
        for name in ("device", "view"):
            value = getattr(settings, name)
            if error := part_error(value):
                raise SettingsError(f"{name} in {path} is {value!r}: {error}")
        camera = settings.camera
        if camera.kind not in CAMERAS:
            kind, known = shown_address(camera.kind), ", ".join(CAMERAS)
            raise SettingsError(f"camera.kind in {path} is {kind!r}: it must be one of {known}")
        if error := camera_class(camera.kind).source_error(camera.source):
            source = shown_address(camera.source)
            raise SettingsError(f"camera.source in {path} is {source!r}: {error}")
        _require_addresses(settings, path)
        if error := settings.state.error():
            raise SettingsError(f"state in {path}: {error}")
        for name, action in settings.actions.items():
            if error := settings_error(name, action):
                raise SettingsError(f"actions.{name}{error} in {path}")
        return settings

    @property
    def models(self) -> Path:
        """Return the folder of all models."""
        return self.store.folder / "models"


def _require_addresses(settings: Settings, path: Path) -> None:
    """Raise :class:`SettingsError` for an address or a folder that cannot be used."""
    if settings.model and not is_address(settings.model.server, ("http", "https")):
        raise SettingsError(
            f"model.server in {path} is {shown_address(settings.model.server)!r}: "
            "use an address such as http://mlflow.local:5000"
        )
    host = settings.page.host
    if not is_address(web_address(host.strip(), settings.page.port or 1), ("http",)):
        raise SettingsError(
            f"page.host in {path} is {host!r}: use 127.0.0.1, or 0.0.0.0 for the whole network"
        )
    places = {"landing.url": settings.landing.url}
    if settings.camera.kind == "folder":
        places["camera.source"] = settings.camera.source
    for key, place in places.items():
        if _is_within(place, settings.store.folder / IMAGES):
            raise SettingsError(
                f"{key} in {path} is {place!r}, where images wait: use another folder"
            )


def _is_within(place: str, folder: Path) -> bool:
    """Return whether a place is a folder or below it; no disk is asked, which may hang."""
    local = os.path.expanduser(re.sub(r"^(file|local):(//)?", "", place))
    is_local = "://" not in local
    return is_local and Path(os.path.abspath(local)).is_relative_to(os.path.abspath(folder))

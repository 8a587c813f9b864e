"""The table of cameras, and the way from a kind's name to a camera."""

import pkgutil
from typing import cast

from edge.cameras.camera import Camera, CameraSettings
from edge.cameras.errors import CameraError
from edge.protocol.addresses import shown_address

CAMERAS = {
    "picamera2": "edge.cameras.picamera2:Picamera2Camera",
    "opencv": "edge.cameras.opencv:OpenCVCamera",
    "folder": "edge.cameras.folder:FolderCamera",
    "simulated": "edge.cameras.simulated:SimulatedCamera",
}
"""The class of each kind of camera. A new camera is a file and a line here; command line, agent
and their help find it by this table."""


def camera_class(kind: str) -> type[Camera]:
    """Return the class of a kind of camera; a kind that is not in the table is a KeyError."""
    return cast(type[Camera], pkgutil.resolve_name(CAMERAS[kind]))


def usage(kind: str) -> str:
    """Return how the command line names a kind of camera, such as ``folder:PATH``."""
    return kind + camera_class(kind).source_syntax


def make_camera(settings: CameraSettings) -> Camera:
    """Make a camera, which is not open yet.

    Raises:
        CameraError: there is no such kind, or the source does not fit it.
    """
    kind, source = settings.kind, settings.source
    if kind not in CAMERAS:
        raise CameraError(f"{kind!r} is not a kind of camera: use {', '.join(map(usage, CAMERAS))}")
    camera = camera_class(kind)
    if error := camera.source_error(source):
        shown = shown_address(source)
        raise CameraError(f"{shown!r} is not a source of {usage(kind)}: {error}")
    return camera(settings)

"""Why a camera delivers no frame."""

from edge.inference.errors import UserError


class CameraError(UserError):
    """A camera cannot deliver a frame."""


class StalledError(CameraError):
    """An open camera has stopped delivering: close it and open it again."""


class NoNewFrameError(CameraError):
    """The camera has no new frame, which is not a fault."""


class UnreadableFrameError(NoNewFrameError):
    """The newest file is not an image; there is no frame until another file comes."""

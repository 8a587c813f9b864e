"""What goes wrong with a model's update: a registry, a release, or another process."""

from edge.inference.errors import UserError
from edge.protocol.release import ReleaseError


class RegistryError(UserError):
    """The registry does not deliver what was requested."""


class BusyError(UserError):
    """Another process is updating this model."""


class NoModelError(UserError):
    """No model was pulled."""


class CrashedError(ReleaseError):
    """The process of a self-test ended without a result, possibly for lack of memory or power."""

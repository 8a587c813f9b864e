"""What an image's EXIF says, kept until the image's time is known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.cameras.camera import Exposure
from edge.cameras.jpeg import add_exif
from edge.protocol.landing_names import KEPT_FOR


@dataclass(frozen=True)
class Stamp:
    """The details of a kept image besides its time.

    Attributes:
        label: the class, if the camera knows it.
        camera_model: for EXIF.
        is_original: whether the camera delivered a JPEG file, which stays as it is.
        exposure: for EXIF, if it is known.
        reason: why it is kept, for EXIF; None if an older agent kept it.
    """

    label: str | None
    camera_model: str
    is_original: bool
    exposure: Exposure | None = None
    reason: str | None = None

    def apply(self, jpeg: bytes, captured_at: datetime | None) -> bytes:
        """Return a JPEG file's bytes with EXIF; an original file stays as it is.

        Args:
            jpeg: the file, without EXIF if it is not original.
            captured_at: None if the time is not known.
        """
        if self.is_original:
            return jpeg
        why = None if self.reason is None else f"{KEPT_FOR}{self.reason}"
        return add_exif(jpeg, self.camera_model, captured_at, self.exposure, why)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Stamp":
        """Return the stamp of which ``dataclasses.asdict`` gave the fields."""
        exposure = fields["exposure"] and Exposure(**fields["exposure"])
        return cls(**fields | {"exposure": exposure})

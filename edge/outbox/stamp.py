"""What an image's EXIF says, kept until the image's time is known."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from edge.cameras.camera import Exposure
from edge.cameras.jpeg import add_exif


@dataclass(frozen=True)
class Stamp:
    """The details of a kept image besides its time.

    Attributes:
        label: the class, if the camera knows it.
        camera_model: for EXIF.
        is_original: whether the camera delivered a JPEG file, which stays as it is.
        exposure: for EXIF, if it is known.
    """

    label: str | None
    camera_model: str
    is_original: bool
    exposure: Exposure | None = None

    def apply(self, jpeg: bytes, captured_at: datetime | None) -> bytes:
        """Return a JPEG file's bytes with EXIF; an original file stays as it is.

        Args:
            jpeg: the file, without EXIF if it is not original.
            captured_at: None if the time is not known.
        """
        if self.is_original:
            return jpeg
        return add_exif(jpeg, self.camera_model, captured_at, self.exposure)

    def to_json(self) -> str:
        """Return the stamp as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Stamp":
        """Return the stamp that :meth:`to_json` wrote."""
        fields = json.loads(text)
        exposure = fields.pop("exposure")
        return cls(**fields, exposure=exposure and Exposure(**exposure))

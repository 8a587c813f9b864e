"""Imported before the device's code, lets the real picamera2 open libcamera's virtual camera."""

import sys
import types


class Absent(types.ModuleType):
    """A module that only has to be there: previews on a screen, and raw files."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(name)

    def __call__(self, *arguments, **named):
        raise NotImplementedError(f"{self.__name__} is a stand-in")


for name in ("pykms", "pidng", "pidng.core", "pidng.camdefs"):
    sys.modules[name] = Absent(name)

import picamera2  # noqa: E402
from picamera2.allocators import LibcameraAllocator  # noqa: E402


class VirtualPicamera2(picamera2.Picamera2):
    """The virtual camera has no raw stream, and allocates its buffers itself."""

    def _get_raw_modes(self):
        return [{"format": "SRGGB10", "size": (640, 480)}]

    def configure_(self, *arguments, **named):
        self.allocator = LibcameraAllocator(self.camera)
        return super().configure_(*arguments, **named)


picamera2.Picamera2 = VirtualPicamera2

"""A camera as a user would add it: a file of its own, found by a line in ``CAMERAS``."""

from contextlib import contextmanager

import numpy as np

from edge.cameras.camera import Camera, Frame, Shot


class GreyCamera(Camera):
    """Shows one shade of grey."""

    model = "grey"
    description = "a shade of grey from 0 to 255"
    source_syntax = ":SHADE"
    default_count = 2

    def __init__(self, options):
        super().__init__(options)
        self.period = options.period

    @classmethod
    def source_error(cls, source):
        return None if source.isdigit() and int(source) < 256 else "name a shade from 0 to 255"

    def open(self):
        pass

    @contextmanager
    def shot(self):
        pixels = np.full((*self.options.size, 3), int(self.options.source), np.uint8)
        yield Shot.of(Frame(pixels, self.options.start))

    def close(self):
        pass

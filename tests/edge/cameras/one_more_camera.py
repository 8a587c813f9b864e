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
    source_pattern = "[01]?[0-9]?[0-9]|2[0-4][0-9]|25[0-5]"
    source_help = "name a shade from 0 to 255"

    def __init__(self, settings):
        super().__init__(settings)
        self.period = settings.period

    def open(self):
        pass

    @contextmanager
    def shot(self):
        width, height = self.settings.size
        pixels = np.full((height, width, 3), int(self.settings.source), np.uint8)
        yield Shot.of(Frame(pixels, self.settings.start))

    def close(self):
        pass

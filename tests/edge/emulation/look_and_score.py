"""Runs in the system with the virtual camera: looks a few times with the agent's driver, scores
what it sees, and writes both images of each shot and a line of JSON."""

import json

import virtual_picamera2  # noqa: F401
from PIL import Image

from edge.cameras.camera import CameraSettings
from edge.cameras.errors import StalledError
from edge.cameras.picamera2 import Picamera2Camera
from edge.inference.scoring import Scorer

LOOKS, CLOSED_AFTER = 6, 3
ATTEMPTS = 5

scorer = Scorer("model")
camera = Picamera2Camera(CameraSettings(size=(640, 480), scored_size=(320, 240), stalled_seconds=3))


def look(number: int) -> None:
    with camera.shot() as shot:
        Image.fromarray(shot.image).save(f"scored-{number}.png")
        Image.fromarray(shot.frame().pixels).save(f"kept-{number}.png")
        scores = list(scorer.predict([shot.image])[0].probabilities.values())
        row = {"scores": scores, "captured_at": shot.captured_at.isoformat(), "model": camera.model}
        print(json.dumps(row))


camera.open()
for number in range(LOOKS):
    if number == CLOSED_AFTER:
        camera.close()
        camera.open()
    for attempt in range(ATTEMPTS):
        try:
            look(number)
            break
        except StalledError:
            # Opened again in the same process, this camera does not always deliver; the agent
            # does the same then.
            if attempt == ATTEMPTS - 1:
                raise
            camera.close()
            camera.open()
camera.close()

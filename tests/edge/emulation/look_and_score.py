"""Runs in the system with the virtual camera: looks a few times with the agent's driver, scores
what it sees, and writes both pictures of each look and a line of JSON."""

import json
import sys
from dataclasses import asdict

import virtual_picamera2  # noqa: F401
from PIL import Image

from edge.cameras.picamera2 import Picamera2Camera
from edge.scoring import Scorer

LOOKS = 6
scorer = Scorer("model")
camera = Picamera2Camera(size=(480, 640), lores=(240, 320), patience=10)
camera.open()
for look in range(LOOKS):
    with camera.shot() as shot:
        frame = shot.frame()
        row = {
            "scores": scorer.score([shot.picture])[0].tolist(),
            "captured_at": shot.captured_at.isoformat(),
            "exposure": frame.exposure and asdict(frame.exposure),
            "model": camera.model,
        }
    Image.fromarray(shot.picture).save(f"scored-{look}.png")
    Image.fromarray(frame.pixels).save(f"kept-{look}.png")
    print(json.dumps(row), file=sys.stdout)
camera.close()

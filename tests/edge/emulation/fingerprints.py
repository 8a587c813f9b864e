"""What this machine computes: ``python fingerprints.py MODEL IMAGES…`` prints JSON.

For each size the SHA-256 of what ``prepare`` makes of each image, and each image's scores.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))


from edge.inference.prepare import prepare
from edge.inference.scoring import Scorer

SIZES = ((128, 128), (64, 48), (33, 71), (224, 224))


def fingerprints(model: Path, images: list[Path]) -> dict:
    """The fingerprints of this machine."""
    scorer = Scorer(model, threads=1)
    arrays = {path: prepare(path, (240, 320)) for path in images}  # as a camera gives them
    return {
        "machine": platform.machine(),
        "prepared": {
            f"{path.name} {size} {kind}": hashlib.sha256(prepare(image, size).tobytes()).hexdigest()
            for path in images
            for size in SIZES
            for kind, image in (("file", path), ("array", arrays[path]))
        },
        "scores": {
            path.name: list(scorer.predict([path])[0].probabilities.values()) for path in images
        },
    }


if __name__ == "__main__":
    print(json.dumps(fingerprints(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])))

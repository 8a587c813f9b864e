"""An epoch's input from the Petastorm cache, beside TFRecord and tf.data.

    python -m benchmarks.peers.training_input --rounds 3

The same prepared pixels, shuffled and in batches, read in turns by processes of their own; nothing
is trained. The last line is JSON: `cache_vs_tfrecord` is the speed of the cache over that of
TFRecord, above 1 where the cache is faster, the median of the rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when started by its path

from benchmarks.caches import cache_of, write_caches
from benchmarks.images import add_images, images_folder
from benchmarks.machine import machine
from benchmarks.peers.environments import PROJECT, peer_command
from steps.dataset.batches import Shard
from steps.dataset.cache import Cache

OURS = """
import json, os, sys
from benchmarks.reading import cached_seconds
from steps.dataset.cache import Cache
print(cached_seconds(Cache(**json.loads(sys.argv[1])), *map(int, sys.argv[2:])), flush=True)
os._exit(0)  # Arrow's threads may still close files of Python, which aborts an interpreter's end
"""


def main() -> None:
    """Print each round and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_images(parser)
    parser.add_argument("--files", type=int, default=480, help="images that are prepared")
    parser.add_argument("--times", type=int, default=8, help="how often each is in the input")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    images, counts = images_folder(options.images), (str(options.batch), str(options.epochs))
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cache = cache_of(write_caches(images, home, options.files), home, options.times)
        peer = peer_command("keras", "tfrecord_epochs.py", _save_arrays(cache, home), *counts)
        ours = [sys.executable, "-c", OURS, json.dumps(asdict(cache)), *counts]
        ratios = []
        for number in range(options.rounds):
            seconds = {}
            for name, command in (("cache", ours), ("tfrecord", peer))[:: 1 if number % 2 else -1]:
                done = subprocess.run(
                    command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True
                )
                seconds[name] = float(done.stdout.splitlines()[-1])
            ratios.append(seconds["tfrecord"] / seconds["cache"])
            shown = (f"{name} {cache.rows('train') / s:.0f}" for name, s in seconds.items())
            print(f"round {number + 1}, images a second: {', '.join(shown)}", flush=True)
    found = {"cache_vs_tfrecord": round(statistics.median(ratios), 2), "rounds": options.rounds}
    print(json.dumps(found | {"images": cache.rows("train"), "batch": options.batch}))


def _save_arrays(cache: Cache, home: Path) -> Path:
    """Save the pixels and classes of the training split for the peer; return their folder."""
    folder = home / "tfrecord"
    folder.mkdir()
    batches = list(Shard(cache, "train", 256).epoch(None))
    kept = np.concatenate([batch.weights for batch in batches]) > 0
    pixels = np.concatenate([batch.inputs for batch in batches])[kept]
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "labels.npy", np.concatenate([batch.classes for batch in batches])[kept])
    return folder


if __name__ == "__main__":
    main()

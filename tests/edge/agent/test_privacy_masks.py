"""What a device keeps, scores, shows and sends of a frame with privacy masks."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from agent_fakes import FakeCamera, FakeClock, send_all, settings, take_frames
from PIL import Image

from edge.agent.agent import Agent
from edge.agent.settings import CaptureSettings
from edge.cameras.camera import CameraSettings, Frame, Shot
from edge.inference.region import Region

MASKS = [Region(0.5, 0, 0.5, 1)]
SECRET = (250, 20, 20)


def scene() -> np.ndarray:
    """A dark green frame, whose right half is of a colour that is nowhere else."""
    pixels = np.full((96, 128, 3), (0, 40, 0), np.uint8)
    pixels[:, 64:] = SECRET
    return pixels


def encode(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene()).save(file, format)
    return file.getvalue()


class Scene(FakeCamera):
    """Pixels with a smaller stream to score, or a file."""

    encoded: bytes | None = None

    @contextmanager
    def shot(self):
        frame = Frame(scene(), self.clock.now().wall_time, encoded=self.encoded)
        small = np.ascontiguousarray(scene()[::2, ::2])
        yield Shot(self.encoded or small, frame.captured_at, lambda: frame)


def decode(image: bytes | np.ndarray) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else np.asarray(Image.open(io.BytesIO(image)))


@pytest.mark.parametrize(
    "encoded", [None, encode("JPEG"), encode("PNG")], ids=["pixels", "JPEG", "PNG"]
)
@pytest.mark.parametrize("masks", [MASKS, []], ids=["masked", "not masked"])
def test_no_pixel_below_a_mask_is_kept_shown_or_sent(tmp_path, encoded, masks):
    clock = FakeClock()
    camera = Scene(clock)
    camera.encoded = encoded
    parts = {"camera": CameraSettings(kind="simulated", privacy_masks=masks)}
    capture = CaptureSettings(period_seconds=60, motion=True)
    agent = Agent(settings(tmp_path, capture=capture, **parts), clock, camera)
    take_frames(agent, clock, 2)
    state = agent.parts.watcher.state
    kept = [path.read_bytes() for path in (tmp_path / "store").rglob("*.jpg")]
    send_all(agent)
    landed = [path.read_bytes() for path in (tmp_path / "landing").rglob("*.jpg")]
    images = [agent.last_frame(), *(image.jpeg for image in state.recent), *kept, *landed]
    assert state.frames == 2 and state.failure is None and len(kept) == len(landed) == 1
    assert len(images) == 4
    for image in map(decode, images):
        middle = image.shape[1] // 2
        assert image[:, : middle - 2, 1].min() > 20
        assert (image[:, middle + 2 :].max() == 0) == bool(masks)
        assert (image[..., 0].max() > 128) == (not masks)


def test_a_frame_that_cannot_be_decoded_is_neither_kept_nor_shown(tmp_path):
    clock = FakeClock()
    camera = Scene(clock)
    camera.encoded = encode("JPEG")[:-300]
    masked = CameraSettings(kind="simulated", privacy_masks=MASKS)
    agent = Agent(settings(tmp_path, camera=masked), clock, camera)
    take_frames(agent, clock, 2)
    assert "not readable: truncated" in agent.parts.watcher.state.failure
    assert agent.last_frame() is None and not list((tmp_path / "store").rglob("*.jpg"))
    camera.encoded = None
    take_frames(agent, clock, 1)
    assert agent.parts.watcher.state.failure is None and agent.last_frame() is not None

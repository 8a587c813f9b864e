from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from edge.cameras.camera import CameraSettings
from edge.cameras.porch.light import Daylight
from edge.cameras.simulated import SimulatedCamera

START = datetime(2026, 7, 13, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
FIVE_DAYS = [START + number * HALF_HOUR for number in range(240)]


def test_frames_are_images_at_their_times(simulated):
    frames = list(simulated.frames(3))
    assert [frame.captured_at for frame in frames] == FIVE_DAYS[:3]
    for frame in frames:
        assert frame.pixels.shape == (480, 480, 3) and frame.pixels.dtype == np.uint8
        assert frame.label in ("0", "1") and frame.encoded is None
        assert frame.image is frame.pixels


@pytest.mark.slow
def test_a_frame_is_a_function_of_seed_and_time(simulated):
    time = START + timedelta(hours=13)
    again = SimulatedCamera(CameraSettings(start=time, period=HALF_HOUR))
    np.testing.assert_array_equal(simulated.at(time).pixels, next(again.frames(1)).pixels)
    other = SimulatedCamera(CameraSettings(seed=2)).at(time)
    assert (other.pixels != simulated.at(time).pixels).mean() > 0.5


def test_the_light_follows_the_wall_clock(simulated):
    noon = datetime(2026, 7, 13, 12, tzinfo=UTC)
    elsewhere = noon.replace(tzinfo=timezone(timedelta(hours=-7)))
    np.testing.assert_array_equal(simulated.at(noon).pixels, simulated.at(elsewhere).pixels)


@pytest.mark.parametrize("seed", range(1, 6))
def test_both_labels_come_at_every_time_of_the_day(simulated, seed):
    camera = simulated
    camera.porch.seed, kept = seed, camera.porch.seed
    labels = {time: bool(camera.packages(time)) for time in FIVE_DAYS}
    camera.porch.seed = kept
    assert 0.35 < np.mean(list(labels.values())) < 0.65
    for begin in range(0, 24, 4):
        part = [seen for time, seen in labels.items() if begin <= time.hour < begin + 4]
        assert 2 < sum(part) < len(part) - 2


def test_every_block_of_the_split_has_both_labels(simulated):
    """The split takes blocks of an hour, in cycles of ten: no tenth may be of one label."""
    labels = np.array([bool(simulated.packages(time)) for time in FIVE_DAYS])
    blocks = labels.reshape(-1, 2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tenths = np.concatenate([rng.permutation(10) for _ in range(len(blocks) // 10)])
        for tenth in range(10):
            assert 0.05 < blocks[tenths == tenth].mean() < 0.95


def test_brightness_alone_does_not_predict_the_label(simulated):
    frames = [simulated.at(time) for time in FIVE_DAYS[::7]]
    brightness = np.array([frame.pixels.mean() for frame in frames])
    seen = np.array([frame.label == "1" for frame in frames])
    best = max(
        max(accuracy, 1 - accuracy)
        for accuracy in (((brightness > level) == seen).mean() for level in brightness)
    )
    assert best < 0.75


def test_night_is_darker_than_day(simulated):
    day, night = (simulated.at(START + timedelta(hours=hour)).pixels.mean() for hour in (12, 1))
    assert night < 0.7 * day


def test_a_package_is_seen(simulated):
    """Where a package lies, the image is another one than without it."""
    time = next(time for time in FIVE_DAYS if simulated.packages(time) and time.hour == 12)
    empty = simulated.porch.render(time, [])
    full = simulated.at(time).pixels
    changed = np.abs(full.astype(int) - empty).max(axis=2) > 40
    assert 0.005 < changed.mean() < 0.4


@pytest.mark.parametrize(
    ("hour", "elevation", "night"),
    [(0, (-62, -20), 1), (5.3, (-1, 1), None), (13, (61, 63), 0), (20.7, (-1, 1), None)],
)
def test_the_sun_rises_and_sets(hour, elevation, night):
    daylight = Daylight.at(hour, clouds=0.3)
    assert elevation[0] <= daylight.elevation <= elevation[1]
    assert night is None or daylight.night == night
    np.testing.assert_allclose(np.linalg.norm(daylight.sunward), 1)
    assert (daylight.ambient > 0).all() and (daylight.sky() >= 0).all()


def test_the_noise_is_that_of_a_sensor(simulated):
    """Two moments a second apart differ by noise and shake, more at night than by day."""
    spread = {}
    for hour in (2, 14):
        moments = [START + timedelta(hours=hour, seconds=second) for second in (0, 1)]
        floor = [np.asarray(Image.fromarray(simulated.at(t).pixels))[330:470] for t in moments]
        spread[hour] = np.abs(floor[0].astype(int) - floor[1]).mean()
    assert 0.5 < spread[14] < spread[2] < 20

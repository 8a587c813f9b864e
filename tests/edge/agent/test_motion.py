import numpy as np
import pytest

from edge.agent.motion import Motion


@pytest.fixture
def porch(simulated):
    return next(simulated.frames(1)).pixels


def noisy(pixels, seed, add=0):
    noise = np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise + add, 0, 255).astype(np.uint8)


def with_something(pixels):
    changed = pixels.copy()
    changed[300:420, 250:370] = 255 - changed[300:420, 250:370]
    return changed


def test_noise_and_slow_changes_of_light_are_not_motion(porch):
    motion = Motion(0.02)
    bright = porch // 2
    assert not any(motion.detect(noisy(bright, number, add=number)) for number in range(40))


def test_an_object_that_appears_is_motion(porch):
    motion = Motion(0.02)
    assert not motion.detect(noisy(porch, 1)) and not motion.detect(noisy(porch, 2))
    assert motion.detect(noisy(with_something(porch), 3))


def test_a_lamp_is_not_motion(porch):
    motion = Motion(0.02)
    motion.detect(porch // 3)
    assert not motion.detect(porch)
    assert motion.detect(with_something(porch))


def test_an_object_that_stays_becomes_the_background(porch):
    motion = Motion(0.02)
    motion.detect(porch)
    seen = [motion.detect(with_something(porch)) for _ in range(60)]
    assert seen[0] and not seen[-1]

"""How unlike its training images a frame is, in each of the ways that the monitor tests.

The nearest training image counts, and not the mean of all: night, rain and a parked car are usual
if they were seen once. A training image is compared with those of other times in the same way, so
that both sides have the same distribution if nothing changed.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from steps.labelling.similarity import project
from steps.monitoring.frames import GREY, HOUR, Frames

Values = NDArray[np.float64]

CELLS = 8
"""Cells along a side of the image; each is compared on its own."""

APART = 6 * HOUR
"""Training images that are closer in time are not compared: they show the same moment."""

AT_ONCE = 256
NEAREST = 3
SAME_HOUR = 1.5
"""Hours of the day within which light and sharpness are compared."""

FLAT = 4.0 * 2 * (GREY // CELLS) ** 2
"""Energy of a cell's gradients below which they are noise."""


def unlikeness(training: Frames, frames: Frames) -> dict[str, Values]:
    """Return by test the scores of frames, ``[N]``, of ``object`` by cell, ``[N, CELLS²]``.

    NaN: no training image can be compared.
    """
    parts = [_some(training, frames, slice(start, start + AT_ONCE)) for start in _starts(frames)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _starts(frames: Frames) -> Iterator[int]:
    return iter(range(0, max(len(frames), 1), AT_ONCE))


def _some(training: Frames, frames: Frames, which: slice) -> dict[str, Values]:
    some = Frames(frames.times[which], frames.records[which])
    apart = np.abs(some.times[:, None] - training.times) >= APART
    hours = np.abs(some.hours[:, None] - training.hours)
    same_hour = apart & (np.minimum(hours, 24 - hours) <= SAME_HOUR)
    (nearest, unlike), other_edges = _compare_edges(training, some, apart)
    unlike += np.abs(some.light[:, None] - training.light)
    at_hour, at_any = (_mean_of_nearest(unlike, where, NEAREST) for where in (same_hour, apart))
    is_known = apart.any(axis=1)
    return {
        "covered": np.where(is_known, some.light - some.contrast, np.nan),
        "moved": _mean_of_nearest(other_edges, apart, 1),
        "everywhere": np.where(is_known, np.median(nearest, axis=1), np.nan),
        "blurred": _usual(training.detail, same_hour) - some.detail,
        "clock": at_hour / at_any,
        "exposure": np.abs(some.light - _usual(training.light, same_hour)),
        "object": np.where(is_known[:, None], nearest, np.nan),
        "scene": _mean_of_nearest(_feature_distances(training, some), apart, NEAREST),
    }


def _compare_edges(
    training: Frames, some: Frames, apart: NDArray[np.bool_]
) -> tuple[tuple[Values, Values], Values]:
    """Return how unlike the edges of each pair of images are.

    Returns:
        the energy that differs, 0–2, of each cell to that cell of the nearest training image,
        ``[N, CELLS²]``, and as the mean of all cells, ``[N, training images]``; and 1 – the
        correlation of all edges, which neither light nor fog lowers much, of the same shape.
    """
    ours, theirs = _edges(some), _edges(training)
    nearest, unlike = np.empty((len(some), CELLS**2)), np.zeros(apart.shape)
    products = np.zeros(apart.shape)
    own, known = np.zeros((len(some), 1)), np.zeros(len(training))
    for cell, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        of_a, of_b, product = (a**2).sum(axis=1)[:, None], (b**2).sum(axis=1), a @ b.T
        energies = of_a + of_b
        differs = (energies - 2 * product) / (energies + FLAT)
        unlike += differs / CELLS**2
        nearest[:, cell] = np.where(apart, differs, np.inf).min(axis=1, initial=np.inf)
        own, known, products = own + of_a, known + of_b, products + product
    return (nearest, unlike), 1 - products / np.sqrt((own + 1) * (known + 1))


def _edges(frames: Frames) -> NDArray[np.float32]:
    """Return the gradients in each cell, ``float32 [CELLS², N, values]``."""
    grey = frames.records["grey"].astype(np.float32)
    both = np.stack(np.gradient(grey, axis=(1, 2)), axis=-1)
    side = GREY // CELLS
    cells = both.reshape(-1, CELLS, side, CELLS, side, 2).transpose(1, 3, 0, 2, 4, 5)
    edges: NDArray[np.float32] = cells.reshape(CELLS**2, len(frames), -1)
    return edges


def _feature_distances(training: Frames, some: Frames) -> Values:
    theirs, ours = (each.records["features"].astype(np.float32) for each in (training, some))
    mean, scale = theirs.mean(axis=0), np.maximum(theirs.std(axis=0), 1e-2)
    a, b = (project((each - mean) / scale) for each in (ours, theirs))
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    found: Values = np.sqrt(np.maximum(squares, 0)).astype(np.float64)
    return found


def _mean_of_nearest(distances: Values, where: NDArray[np.bool_], count: int) -> Values:
    """Return the mean of the smallest distances of each row; NaN if there are too few."""
    if distances.shape[1] < count:
        return np.full(len(distances), np.nan)
    kept = np.where(where, distances, np.inf)
    means: Values = np.partition(kept, count - 1, axis=1)[:, :count].mean(axis=1)
    return np.where(np.isinf(means), np.nan, means)


def _usual(values: Values, where: NDArray[np.bool_]) -> Values:
    """Return the median over the training images that each row may be compared with."""
    rows = [np.median(values[row]) if row.any() else np.nan for row in where]
    return np.array(rows, np.float64)

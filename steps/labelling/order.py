"""Which image comes next: orders with a name and a reason, and the filters."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from steps.labelling.image_index import ImageIndex
from steps.labelling.reasons import doubted_labels, kept_by_devices, scored_margins
from steps.labelling.similarity import distance_to_nearest, find_clusters
from steps.labelling.sitting import NONE, UNSURE, Sitting

DAY = 86_400_000_000
"""In microseconds."""


@dataclass(frozen=True)
class Order:
    """An order of all images.

    Attributes:
        numbers: of the images, the first to label first.
        reasons: by number, why it comes early; of the others nothing is said.
    """

    numbers: NDArray[np.intp]
    reasons: dict[int, str]


class Filters(BaseModel):
    """Which images the page shows, and in which order.

    Attributes:
        order: one of ``ORDERS``.
        show: unlabelled, labelled, unsure, disagreement or all.
        device: its ID; None: all.
        day: of the capture, UTC; None: all.
        label: as it stands; empty: all.
        labeller: who gave it; empty: all.
        darkest: the least brightness, 0–255.
        brightest: the highest.
        start: the number in the order from which on.
        count: how many, at most.
    """

    model_config = ConfigDict(extra="forbid")

    order: Literal["time", "control", "uncertain", "typical", "new", "disagreement", "device"] = (
        "time"
    )
    show: Literal["unlabelled", "labelled", "unsure", "disagreement", "all"] = "unlabelled"
    device: str | None = None
    day: date | None = None
    label: str = ""
    labeller: str = ""
    darkest: float = 0
    brightest: float = 255
    start: int = Field(0, ge=0)
    count: int = Field(100, ge=1, le=1000)


def _in_time(sitting: Sitting) -> Order:
    """Order by the time of capture."""
    return Order(np.arange(len(sitting.state.images)), {})


def _by_chance(sitting: Sitting) -> Order:
    """Order by the hash of the bytes: at random, and the same at each start."""
    return Order(np.argsort(sitting.state.images.sha256), {})


def _by_margin(sitting: Sitting) -> Order:
    """Order by how close the two likeliest labels were when the image was scored last."""
    return _before_others(sitting, *scored_margins(sitting))


def _by_cluster(sitting: Sitting) -> Order:
    """Order by clusters of similar images: the most typical one of each, then the second …."""
    numbers, values = sitting.features.read(sitting.state.images)
    if not len(numbers):
        return _in_time(sitting)
    clusters = find_clusters(values)
    sizes = clusters.sizes[clusters.of]
    reasons = {int(n): f"like {size} other images" for n, size in zip(numbers, sizes, strict=True)}
    return _before_others(sitting, numbers[clusters.typical], reasons)


def _by_novelty(sitting: Sitting) -> Order:
    """Order by how unlike an image is to every labelled one."""
    numbers, values = sitting.features.read(sitting.state.images)
    if not len(numbers):
        return _in_time(sitting)
    distances = distance_to_nearest(values, sitting.state.codes[numbers] >= 0)
    places = np.argsort(-distances, kind="stable")
    new = {int(numbers[at]): "unlike all that is labelled" for at in places[: len(places) // 10]}
    return _before_others(sitting, numbers[places], new)


def _by_doubt(sitting: Sitting) -> Order:
    """Order labelled images by how improbable the label is to a head of other blocks' images."""
    return _before_others(sitting, *doubted_labels(sitting))


def _by_device(sitting: Sitting) -> Order:
    """Order by why a device kept an image; the newest of a reason first."""
    return _before_others(sitting, *kept_by_devices(sitting))


def _before_others(sitting: Sitting, first: NDArray[np.intp], reasons: dict[int, str]) -> Order:
    others = np.setdiff1d(np.arange(len(sitting.state.images)), first)
    return Order(np.concatenate([first, others]), reasons)


ORDERS = {
    "time": ("in time order", _in_time),
    "control": ("at random, as a control", _by_chance),
    "uncertain": ("the model was least sure", _by_margin),
    "typical": ("typical: one of each kind", _by_cluster),
    "new": ("new: unlike what is labelled", _by_novelty),
    "disagreement": ("labelled, and likely wrong", _by_doubt),
    "device": ("kept by the device for a reason", _by_device),
}
"""By name: what a reader sees, and the function."""


def matching(sitting: Sitting, filters: Filters) -> NDArray[np.bool_]:
    """Return which images the filters let through, ``bool [N]``."""
    state = sitting.state  # once: another thread may read the table again
    images, codes = state.images, state.codes
    kinds = {"unlabelled": codes == NONE, "labelled": codes >= 0, "unsure": codes == UNSURE}
    is_doubt = filters.order == "disagreement" and filters.show == "unlabelled"
    show = "labelled" if is_doubt else filters.show  # the order is one of labelled images
    shown: NDArray[np.bool_] = kinds.get(show, np.ones(len(images), bool)).copy()
    if filters.show == "disagreement":
        shown &= _among(images, sitting.labels.disagreements())
    if filters.device is not None:
        names, of_image = images.devices
        shown &= of_image == (names.index(filters.device) if filters.device in names else -1)
    if filters.day is not None:
        first = np.datetime64(filters.day, "us").astype(np.int64)
        shown &= (images.times >= first) & (images.times < first + DAY)
    if filters.label:
        known = filters.label in sitting.classes
        shown &= codes == (sitting.classes.index(filters.label) if known else len(codes))
    if filters.labeller:
        by = (sha for sha, given in sitting.labels.items() if given.labeller == filters.labeller)
        shown &= _among(images, by)
    if filters.darkest > 0 or filters.brightest < 255:
        light = images.brightness
        shown &= (light >= filters.darkest) & (light <= filters.brightest)
    return shown


def _among(images: ImageIndex, hashes: Any) -> NDArray[np.bool_]:
    among = np.zeros(len(images), bool)
    among[[number for sha in hashes if (number := images.find(sha)) is not None]] = True
    return among


def next_images(sitting: Sitting, order: Order, filters: Filters) -> dict[str, Any]:
    """Return the next images in an order that the filters let through, as the page shows them.

    Returns:
        ``images``; ``matching``: how many the filters let through; ``next``: where the next call
        starts, None at the end.
    """
    shown = matching(sitting, filters)[order.numbers]
    places = np.flatnonzero(shown)
    chosen = places[places >= filters.start][: filters.count]
    is_last = not len(chosen) or chosen[-1] == places[-1]
    return {
        "images": [describe_image(sitting, int(order.numbers[at]), order) for at in chosen],
        "matching": len(places),
        "next": None if is_last else int(chosen[-1]) + 1,
    }


class Pages:
    """Pages of images, one following the other in an order that stays as it was at the first.

    Args:
        sitting: whose images.
    """

    def __init__(self, sitting: Sitting):
        self._sitting = sitting
        self._orders: dict[tuple[str, int], Order] = {}

    def following(self, filters: Filters) -> dict[str, Any]:
        """Return a page, as :func:`next_images` does; before a first one, read what is new."""
        if filters.start == 0:
            self._sitting.refresh()
        key = filters.order, self._sitting.state.images.version
        if filters.start == 0 or key not in self._orders:
            kept = {known: order for known, order in self._orders.items() if known[1] == key[1]}
            self._orders = kept | {key: ORDERS[filters.order][1](self._sitting)}
        return next_images(self._sitting, self._orders[key], filters)


def describe_image(sitting: Sitting, number: int, order: Order | None = None) -> dict[str, Any]:
    """Return what the page shows of an image, and why it comes early in an order."""
    state = sitting.state
    row = state.images.columns.slice(number, 1).to_pylist()[0]
    given, code = sitting.labels[row["sha256"]], state.codes[number]
    return {
        "sha256": row["sha256"],
        "device": row["device"],
        "at": row["captured_at"].isoformat(),
        "brightness": None if np.isnan(row["brightness"]) else round(row["brightness"]),
        "label": sitting.classes[code] if code >= 0 else None,
        "unsure": bool(code == UNSURE),
        "labeller": given.labeller if given else None,
        "reason": order.reasons.get(number) if order else None,
    }

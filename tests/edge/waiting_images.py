"""A queue of images that wait, and frames to put into it."""

import numpy as np
from agent_fakes import NOON

from edge.cameras.camera import Frame
from edge.outbox.queue import Queue
from edge.outbox.store import Store


def frame(number: int = 0, **fields) -> Frame:
    return Frame(np.full((48, 64, 3), number, np.uint8), NOON, **fields)


def queue_in(folder, most=10**9, floor=0, free=10**12) -> Queue:
    return Queue(Store(folder), most, floor, "a7", "porch", lambda _: free)


def all_names(queue: Queue) -> list[str]:
    names = []
    while image := queue.next():
        names.append(image.name)
        queue.mark_sent(image, image.name)
    return names

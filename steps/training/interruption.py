"""Ctrl-C and SIGTERM while Horovod trains."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from steps.pipeline.signals import STOPS, handlers_kept, raise_again


@contextmanager
def handed_on() -> Iterator[None]:
    """Around a run of Horovod: a stop ends the ranks first, and is then heard as it was before.

    Horovod (0.28.1) puts its own handlers in the place of those that are there and leaves them
    behind. They end the ranks, of which it then says no more than that they failed; and whatever
    comes after the training would no longer hear a stop.
    """
    from horovod.runner import gloo_run

    register, stops = gloo_run.register_shutdown_event, []

    def register_and_note():
        event = register()

        def stop(number: int, frame: FrameType | None) -> None:
            stops.append(number)
            event.set()

        for number in STOPS:
            signal.signal(number, stop)
        return event

    gloo_run.register_shutdown_event = register_and_note
    try:
        with handlers_kept():
            yield
    except RuntimeError:
        if not stops:
            raise
    finally:
        gloo_run.register_shutdown_event = register
    raise_again(stops)

"""Ctrl-C and SIGTERM while Horovod trains."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from steps.pipeline.signals import STOPS, handlers_kept, raise_again


@contextmanager
def end_ranks_on_signal() -> Iterator[None]:
    """Let a signal end the ranks of a Horovod run first, then handle it as before the run.

    Horovod (0.28.1) replaces the signal handlers and never restores them. Its own end the ranks,
    which it then reports as failed; and the process would ignore signals after the training.
    """
    from horovod.runner import gloo_run

    register, stops = gloo_run.register_shutdown_event, list[int]()

    def register_and_note() -> threading.Event:
        event: threading.Event = register()

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

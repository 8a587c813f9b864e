"""Calls that may never return, such as to a file system whose server is gone."""

import queue
import threading
from collections.abc import Callable
from typing import Any


class BoundedCall:
    """Makes calls in a thread of their own, and waits for each only so long.

    A thread cannot be ended: one that hangs is left alone, and until it returns no other is made.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def run(self, call: Callable[[], Any], seconds: float) -> Any:
        """Return what the call returns, or raise what it raises.

        Raises:
            TimeoutError: it has not returned in time, or an earlier one still has not.
        """
        if self._thread and self._thread.is_alive():
            raise TimeoutError("it hangs: an earlier call has not returned yet")
        outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                outcome.put((call(), None))
            except BaseException as error:
                outcome.put((None, error))

        self._thread = threading.Thread(target=work, name="bounded call", daemon=True)
        self._thread.start()
        try:
            result, error = outcome.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"it hangs: no answer within {seconds:.0f} s") from None
        self._thread.join()
        if error:
            raise error
        return result

"""One step at a time at a ledger, whoever else tries."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import fsspec
from fsspec.implementations.local import LocalFileSystem

from steps.errors import RunAgain, UserError

SECONDS = 60.0
"""How long a holder that gives no more sign of life still counts."""

WRITTEN_SECONDS = 1.0
"""After this a claim that cannot be read is a broken one, and none that is being written."""

logger = logging.getLogger("steps")


class Lease:
    """A ledger that is held; see :func:`lease`."""

    def __init__(self, filesystem, path: str, run_id: str):
        self._filesystem, self._path, self._run_id = filesystem, path, run_id
        self._writing = threading.Lock()

    def require(self) -> None:
        """See that it is still held, before something is written that only a holder may write.

        Raises:
            UserError: somebody took it, for want of a sign of life.
        """
        with self._writing:
            claim = _read(self._filesystem, self._path)
            if not self._is_mine(claim):
                taken = f"run {claim['run_id']} took" if claim else "something took away"
                raise UserError(
                    f"{taken} what this run held, as it gave no sign of life for {SECONDS:.0f} s; "
                    "nothing is lost",
                    RunAgain(),
                )
            if time.time() - claim["at"] > SECONDS / 2:
                self._filesystem.pipe_file(self._path, _claim(self._run_id))

    def renew(self, over: threading.Event) -> None:
        """Give signs of life until it is over, or somebody took it."""
        while not over.wait(SECONDS / 4):
            try:
                with self._writing:
                    if not self._is_mine(_read(self._filesystem, self._path)):
                        return
                    self._filesystem.pipe_file(self._path, _claim(self._run_id))
            # whatever a store raises, it may answer the next time; if not, `require` tells
            except Exception as error:
                logger.warning("no sign of life could be given (%s); trying again", error)

    def give_back(self) -> None:
        """Let the next one have it, unless it has it already."""
        if self._is_mine(_read(self._filesystem, self._path)):
            self._filesystem.rm_file(self._path)

    def _is_mine(self, claim: dict | None) -> TypeGuard[dict]:
        return claim is not None and claim["run_id"] == self._run_id


@contextmanager
def lease(home: str, run_id: str) -> Iterator[Lease]:
    """Hold a ledger for the length of a block.

    The lease is a small file that its holder renews. A holder on this machine whose process is
    gone holds nothing; one elsewhere counts until ``SECONDS`` after its last sign of life.

    Args:
        home: the ledger's folder or URI.
        run_id: who holds it.

    Raises:
        UserError: somebody else holds it.
    """
    filesystem, folder = fsspec.core.url_to_fs(home)
    filesystem.makedirs(folder, exist_ok=True)
    path = f"{folder}/lease.json"
    with _alone(filesystem, folder):
        _take(filesystem, path, run_id)
    held, over = Lease(filesystem, path, run_id), threading.Event()
    renewing = threading.Thread(target=held.renew, args=(over,), daemon=True, name="lease")
    renewing.start()
    try:
        yield held
    finally:
        over.set()
        renewing.join()
        try:
            held.give_back()
        # whatever a store raises: it would hide how the block ended, and the lease lapses
        except Exception as error:
            logger.warning("the ledger could not be given back (%s); it is free in a minute", error)


@contextmanager
def _alone(filesystem, folder: str) -> Iterator[None]:
    """On this machine: of two that find what a dead holder left, one at a time looks at it.

    Otherwise the slower one would delete the lease that the faster one has just taken.
    """
    if not isinstance(filesystem, LocalFileSystem):
        yield
        return
    import fcntl  # not everywhere that a lake elsewhere is reached from

    with open(f"{folder}/lease.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the end of a process, however it comes, frees it
        yield


def _take(filesystem, path: str, run_id: str) -> None:
    for _ in range(2):
        try:
            # a file system that knows exclusive creation lets one of two win
            with filesystem.open(path, "xb") as file:
                file.write(_claim(run_id))
            return
        except FileExistsError:
            if holder := _holder(filesystem, path):
                raise UserError(
                    f"run {holder['run_id']} on {holder['host']} is at this source; wait "
                    "for it to end",
                    RunAgain(),
                ) from None
            filesystem.rm_file(path)
        except (ValueError, NotImplementedError):  # no exclusive creation here
            if not _holder(filesystem, path):
                filesystem.pipe_file(path, _claim(run_id))
                return
    raise UserError("another run has just begun at this source; wait for it to end", RunAgain())


def _claim(run_id: str) -> bytes:
    now = {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}
    return json.dumps(now).encode()


def _holder(filesystem, path: str) -> dict | None:
    claim = _read(filesystem, path)
    if claim is None and filesystem.exists(path):  # cut off while written, or being written now
        time.sleep(WRITTEN_SECONDS)
        claim = _read(filesystem, path)
    if claim is None or time.time() - claim["at"] > SECONDS:
        return None
    return claim if claim["host"] != socket.gethostname() or _lives(claim["pid"]) else None


def _read(filesystem, path: str) -> dict | None:
    """The claim in a lease; None where there is none, or what is there is none."""
    try:
        claim = json.loads(filesystem.cat_file(path))
        return {key: claim[key] for key in ("run_id", "host", "pid", "at")}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _lives(pid: int) -> bool:
    if pid == os.getpid():  # a number that came round again, as in a container
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""A lease on a folder, so that one step at a time writes there."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from steps.atomic import make_folder
from steps.errors import RunAgain, UserError

SECONDS = 60.0
"""How long a holder counts that no longer renews its lease."""

WRITTEN_SECONDS = 1.0
"""How long a claim may take to be written; unreadable after that, it is broken."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

logger = logging.getLogger("steps")


class Lease:
    """A lease that is held; see :func:`lease`."""

    def __init__(self, filesystem: AbstractFileSystem, path: str, run_id: str):
        self._filesystem, self._path, self._run_id = filesystem, path, run_id
        self._writing = threading.Lock()
        self._claimed_at = time.monotonic()

    def require(self) -> None:
        """Check that the lease is still held, before something is written that needs it.

        Raises:
            UserError: another run took it, since it was not renewed in time.
        """
        self._renew(older_than=SECONDS / 2)

    def _renew(self, older_than: float) -> None:
        with self._writing:
            claim = _read(self._filesystem, self._path)
            now = time.monotonic()
            # a write that took so long brought back a claim that others have seen expire
            if now - self._claimed_at > SECONDS or not self._is_mine(claim):
                other = claim and not self._is_mine(claim)
                taken = f"run {claim['run_id']} took" if claim and other else "nothing keeps"
                raise UserError(
                    f"{taken} the lease of this run, which did not renew it for {SECONDS:.0f} s; "
                    "nothing is lost",
                    RunAgain(),
                )
            if abs(time.time() - claim["at"]) > older_than:  # the clock may have been set back
                self._filesystem.pipe_file(self._path, _claim(self._run_id))
                self._claimed_at = now

    def renew_until(self, over: threading.Event) -> None:
        """Renew the lease until it is over or another run took it."""
        while not over.wait(SECONDS / 4):
            try:
                self._renew(older_than=0)
            except UserError:
                return
            # whatever a store raises, it may answer the next time; if not, `require` raises
            except Exception as error:
                logger.warning("the lease could not be renewed (%s); trying again", error)

    def release(self) -> None:
        """Free the lease, unless another run has taken it."""
        if self._is_mine(_read(self._filesystem, self._path)):
            self._filesystem.rm_file(self._path)

    def _is_mine(self, claim: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
        return claim is not None and claim["run_id"] == self._run_id


class WatchedClaim:
    """The claim that a waiting run has read, and since when it is the same."""

    def __init__(self) -> None:
        self._claim: dict[str, Any] | None = None
        self._since = 0.0

    def is_expired(self, claim: dict[str, Any]) -> bool:
        """Return whether a claim is old by its date or, since clocks may be ahead, as seen here."""
        now = time.monotonic()
        if claim != self._claim:
            self._claim, self._since = claim, now
        return time.time() - claim["at"] > SECONDS or now - self._since > SECONDS


@contextmanager
def lease(
    home: str, run_id: str, patience: float = 0, watched: WatchedClaim | None = None
) -> Iterator[Lease]:
    """Hold the lease of a folder for the length of a block.

    The lease is a small file that its holder renews. A holder whose process can be seen to have
    ended holds nothing; one on another machine, before a restart of this one or in another
    container counts until ``SECONDS`` after it last renewed, by its clock or as seen by a run that
    waits.

    Args:
        home: the folder or its URI.
        run_id: the run that holds it.
        patience: seconds to wait for another run that holds it.
        watched: what earlier attempts saw, for one who tries again and again.

    Raises:
        UserError: another run holds it.
    """
    filesystem, folder = fsspec.core.url_to_fs(home)
    make_folder(home)
    path = f"{folder}/lease.json"
    deadline, told = time.monotonic() + patience, ""
    watched = watched or WatchedClaim()
    while True:
        try:
            with _locked(filesystem, folder):
                _acquire(filesystem, path, run_id, watched)
            break
        except UserError as error:
            if time.monotonic() >= deadline:
                raise
            if told != str(error):
                logger.info("waiting up to %.0f minutes: %s", patience / 60, error)
            told = str(error)
            time.sleep(1)
    held, over = Lease(filesystem, path, run_id), threading.Event()
    renewing = threading.Thread(target=held.renew_until, args=(over,), daemon=True, name="lease")
    renewing.start()
    try:
        yield held
    finally:
        over.set()
        renewing.join()
        try:
            held.release()
        # whatever a store raises: it would hide how the block ended, and the lease expires
        except Exception as error:
            logger.warning("the lease could not be released (%s); it ends in a minute", error)


@contextmanager
def _locked(filesystem: AbstractFileSystem, folder: str) -> Iterator[None]:
    """Let one process of this machine at a time check the lease of a dead holder.

    Otherwise the slower one would delete the lease that the faster one has just taken.
    """
    if not isinstance(filesystem, LocalFileSystem):
        yield
        return
    import fcntl  # Windows has none, and can still reach a remote lake

    with open(f"{folder}/lease.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the lock ends with the process
        yield


def _acquire(filesystem: AbstractFileSystem, path: str, run_id: str, watched: WatchedClaim) -> None:
    is_there = filesystem.exists(path)  # asked first: a later claim must not be removed
    if holder := _find_holder(filesystem, path, watched):
        raise UserError(
            f"run {holder['run_id']} on {holder['host']} is using this source; wait for it to end",
            RunAgain(),
        )
    if is_there:
        filesystem.rm_file(path)
    try:
        # exclusive creation lets one of two win
        with filesystem.open(path, "xb") as file:
            file.write(_claim(run_id))
    except (ValueError, NotImplementedError):  # no exclusive creation here
        filesystem.pipe_file(path, _claim(run_id))
    except FileExistsError:
        raise UserError(
            "another run has just started to use this source; wait for it to end", RunAgain()
        ) from None


def _claim(run_id: str) -> bytes:
    process = {"host": socket.gethostname(), "pid": os.getpid(), "process": _process(os.getpid())}
    return json.dumps({"run_id": run_id, **process, "at": time.time()}).encode()


def _find_holder(
    filesystem: AbstractFileSystem, path: str, watched: WatchedClaim
) -> dict[str, Any] | None:
    claim = _read(filesystem, path)
    if claim is None and filesystem.exists(path):  # interrupted while written, or being written now
        time.sleep(WRITTEN_SECONDS)
        claim = _read(filesystem, path)
    if claim is None or watched.is_expired(claim):
        return None
    return None if _has_ended(claim) else claim


def _read(filesystem: AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """Return the claim in a lease; None if it is missing or damaged."""
    try:
        claim = json.loads(filesystem.cat_file(path))
        kept = {key: claim[key] for key in ("run_id", "host", "pid", "at")}
        return kept | {"process": list(claim.get("process", ()))}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _has_ended(claim: dict[str, Any]) -> bool:
    """Return whether the process of a claim has ended, as far as this one would see it."""
    then, here = claim["process"], _process(os.getpid())
    if not then or then[:2] != here[:2]:
        return False
    now = _process(claim["pid"])
    return now != then and bool(now or not _is_another_users(claim["pid"]))


def _is_another_users(pid: int) -> bool:
    """Return whether there is such a process, of another user: ``/proc`` may hide it."""
    try:
        os.kill(pid, 0)  # sends nothing
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def _process(pid: int) -> list[str]:
    """Return what tells a process from all others, which may get its number after it.

    Returns:
        the start of the kernel, the namespace of its numbers, such as a container's, and the start
        of the process; nothing if it has ended, or on a system that does not say.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        places = BOOT_ID.read_text().strip(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return []
    return [] if state == "Z" else [*places, numbers[18]]  # field 22 of proc(5)

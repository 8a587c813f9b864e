"""A training that the page starts: a process of its own, which the end of the page does not end."""

import fcntl
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steps.errors import UserError
from steps.settings.profile import PROJECT

LINES = 12
"""Of the end of what it printed, that the page shows."""

OWN_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")
"""Environment variables by which MLflow tells a step its run: they are not the training's."""


class Training:
    """One training at a time, of this page or of an earlier one on the same lake.

    What it prints goes to a file that the process holds locked, so it runs as long as the lock.

    Args:
        command: the line that starts it.
        folder: of the file.
    """

    def __init__(self, command: str, folder: Path):
        self.command, self.log = command, folder / "training.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._failure = ""
        self._thread = threading.Thread()
        self._lock = threading.Lock()

    def start(self, commit: Callable[[], object]) -> None:
        """Write the labels, and then train; return at once.

        Args:
            commit: writes the labels.

        Raises:
            UserError: a training runs.
        """
        with self._lock:
            file = None if self._thread.is_alive() else self._locked()
            if file is None:
                raise UserError(f"a training runs already; its lines are in {self.log}")
            self._process, self._failure = None, ""
            self._thread = threading.Thread(target=self._run, args=(commit, file), daemon=True)
            self._thread.start()

    def _locked(self) -> int | None:
        """Open the file and lock it; None if a process that trains holds it."""
        file = os.open(self.log, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    def _run(self, commit: Callable[[], object], file: int) -> None:
        try:
            os.ftruncate(file, 0)
            commit()
            here = str(Path(sys.executable).parent)
            path = {"PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}
            self._process = subprocess.Popen(
                shlex.split(self.command),
                cwd=PROJECT,
                env={k: v for k, v in os.environ.items() if k not in OWN_RUN} | path,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # a Ctrl-C is for the page
            )
        except Exception as error:  # in a thread: the page alone can say it
            self._failure = f"the training did not start: {error}"
        finally:
            os.close(file)

    def describe(self) -> dict[str, Any]:
        """Return what the page shows: command, state (none, saving, running or ended), lines."""
        process = self._process
        if self._thread.is_alive():
            state = "saving"
        elif process and process.poll() is None:
            state = "running"
        elif process or self._failure:
            state = "ended"
        else:
            state = "running" if self._is_elsewhere() else "none"
        status = process.returncode if process else None
        lines = [self._failure] if self._failure else self._last_lines() if state != "none" else []
        return {"command": self.command, "state": state, "status": status, "lines": lines}

    def _is_elsewhere(self) -> bool:
        """Return whether an earlier page's training runs."""
        with self._lock:
            if not self.log.exists():
                return False
            file = self._locked()
            if file is not None:
                os.close(file)
            return file is None

    def _last_lines(self) -> list[str]:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
        # of a line that was written over, as a progress bar, what stands there now
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        return [line for line in lines if line.strip()][-LINES:]

    def farewell(self) -> str | None:
        """Return what becomes of a training that still runs when the page ends."""
        if self._thread.is_alive():
            self._thread.join()
        if not self._process or self._process.poll() is not None:
            return None
        number = self._process.pid
        return f"the training goes on as process {number} (kill -- -{number} stops it): {self.log}"

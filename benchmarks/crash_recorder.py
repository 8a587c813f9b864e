"""Records every file operation of a program below a folder, with strace.

The program says, in a file of its own, what it acknowledges (:func:`acknowledge`) and which line of
its code syncs or renames (:func:`name_sites`); these notes stand between the operations, in order.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

NOTES = "CRASH_NOTES"
"""Environment variable: the file of the program's notes."""

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,truncate,lseek,sendfile,"
    "copy_file_range,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "symlink,symlinkat,fsync,fdatasync,sync,fallocate"
)
UNKNOWN = ("writev", "pwritev", "sendfile", "copy_file_range", "fallocate")
LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(?:<[^>]*>)?(?: .*)?$")
FD_PATH = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Operation(NamedTuple):
    """One operation, or a note of the program.

    Attributes:
        kind: create, write, truncate, rename, link, unlink, mkdir, rmdir, symlink, sync, sync_all,
            ack or site.
        path: absolute; of a note, its text.
        target: of a rename or link the new path, of a symlink what it names.
        data: the bytes that are written.
        offset: where, or the size of a truncated file.
    """

    kind: str
    path: str
    target: str = ""
    data: bytes = b""
    offset: int = 0


def acknowledge(text: str) -> None:
    """Note that the program has said that something is done."""
    _note(f"ack {text}")


def name_sites() -> None:
    """Note the place in the code before each sync and each rename of this process."""
    for name in ("fsync", "replace", "rename", "link", "sync"):
        setattr(os, name, _noting(name, getattr(os, name)))


def _noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*values: Any, **options: Any) -> Any:
        _note(f"site {name} {calling_code()}")
        return function(*values, **options)

    return noted


def calling_code() -> str:
    """Return the innermost functions of ``steps/`` or ``edge/`` that run, the first one last.

    Three of them, besides those that write files for all others.
    """
    found, named, frame = [], 0, sys._getframe(1)
    while frame and named < 3:
        path = frame.f_code.co_filename
        if (place := re.search(r"(?:steps|edge)/.*$", path)) and "benchmarks" not in path:
            found.append(f"{place[0]}:{frame.f_code.co_name}")
            named += not path.endswith("/atomic.py")
        frame = frame.f_back
    return " < ".join(dict.fromkeys(found))  # make_folder calls itself


def note_site(name: str) -> None:
    """Note that what follows is a sync of a name."""
    _note(f"site {name}")


def _note(text: str) -> None:
    if NOTES in os.environ:
        descriptor = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def record(command: list[str], folder: Path, scratch: Path) -> list[Operation]:
    """Run a program and return its operations below a folder, in order."""
    log, notes = scratch / "strace.log", scratch / "notes"
    strace = ["strace", "-f", "--seccomp-bpf", "-qqq", "-y", "-xx", "-s", "100000000"]
    done = subprocess.run(
        [*strace, "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log), *command],
        env=os.environ | {NOTES: str(notes)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    with log.open() as lines:
        return list(_Parser(str(folder), str(notes)).parse(lines))


class _Parser:
    """Turns strace's lines into operations."""

    def __init__(self, folder: str, notes: str):
        self._folder, self._notes = folder, notes
        self._unfinished: dict[str, str] = {}
        self._offsets: dict[str, int] = {}

    def parse(self, lines: Any) -> Any:
        for line in lines:
            text = line.rstrip("\n")
            process = text.partition(" ")[0]
            if text.endswith("<unfinished ...>"):
                self._unfinished[process] = text.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)$", text):
                text = self._unfinished.pop(process) + resumed[1]
            if (found := LINE.match(text)) and not found[4].startswith(("-", "?")):
                yield from self._operations(found[2], found[3], int(found[4]))

    def _operations(self, call: str, values: str, result: int) -> Any:
        if call == "sync":
            yield Operation("sync_all", "")
            return
        paths = [_text(path) for path in FD_PATH.findall(values)]
        strings = [_bytes(text) for text in STRING.findall(values)]
        if paths and paths[0] == self._notes:
            if call == "write":
                kind, _, text = strings[0].decode().partition(" ")
                yield Operation(kind, text)
            return
        if call in UNKNOWN and paths[0].startswith(self._folder):
            raise RuntimeError(f"{call} writes to {paths[0]}, which this recorder cannot follow")
        by_descriptor = getattr(self, f"_{call}", None)
        if by_descriptor and paths:
            if paths[0].startswith(self._folder):
                yield from by_descriptor(paths[0], values, strings, result)
            return
        names = [text.decode("utf-8", "surrogateescape") for text in strings]
        yield from self._by_name(call, values, paths, names)

    def _by_name(self, call: str, values: str, paths: list[str], names: list[str]) -> Any:
        if call.endswith(("at", "at2")):
            names = [os.path.join(*pair) for pair in zip(paths, names, strict=False)]
        kind = call.removesuffix("2").removesuffix("at")
        if kind == "symlink":
            target, name = _symlink(values)
            names = [os.path.join(paths[0], name) if paths else name, target]
        if not names or not names[0].startswith(self._folder):
            return
        path = os.path.normpath(names[0])
        if kind in ("open", "creat"):
            yield from self._open(path, values)
        elif kind == "unlink":
            yield Operation("rmdir" if "AT_REMOVEDIR" in values else "unlink", path)
        elif kind == "truncate":
            yield Operation(kind, path, offset=int(values.rsplit(", ", 1)[1]))
        else:
            yield Operation(kind, path, names[1] if len(names) > 1 else "")

    def _open(self, path: str, values: str) -> Any:
        if "O_WRONLY" not in values and "O_RDWR" not in values:
            return
        self._offsets[path] = -1 if "O_APPEND" in values else 0
        if "O_CREAT" in values:
            yield Operation("create", path)
        if "O_TRUNC" in values:
            yield Operation("truncate", path)

    def _write(self, path: str, values: str, strings: list[bytes], result: int) -> Any:
        offset = self._offsets.get(path, 0)
        yield Operation("write", path, data=strings[-1][:result], offset=offset)
        if offset >= 0:
            self._offsets[path] = offset + result

    def _pwrite64(self, path: str, values: str, strings: list[bytes], result: int) -> Any:
        offset = int(values.rsplit(", ", 1)[1])
        yield Operation("write", path, data=strings[-1][:result], offset=offset)

    def _lseek(self, path: str, values: str, strings: list[bytes], result: int) -> Any:
        self._offsets[path] = result
        yield from ()

    def _ftruncate(self, path: str, values: str, strings: list[bytes], result: int) -> Any:
        yield Operation("truncate", path, offset=int(values.rsplit(", ", 1)[1]))

    def _fsync(self, path: str, values: str, strings: list[bytes], result: int) -> Any:
        yield Operation("sync", path)

    _fdatasync = _fsync


def _symlink(values: str) -> tuple[str, str]:
    target, name = (_text(text) for text in STRING.findall(values))
    return target, name


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(escaped: str) -> str:
    return _bytes(escaped).decode("utf-8", "surrogateescape") if "\\x" in escaped else escaped

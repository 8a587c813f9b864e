"""A device's process: it recovers, polls, loads the model, and commits it or rolls it back.

python updating_process.py SERVER MODELS KEY commit|rollback [KILLED_BEFORE]

It prints the changes that it makes to files and folders, and the start of the self-test, one a line
with its number. Before the first one whose line KILLED_BEFORE matches, it kills itself.
"""

import os
import re
import signal
import sys
from itertools import count
from pathlib import Path

from edge.update.current import CurrentModel
from edge.update.registry import Registry
from edge.update.updater import Updater

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "subprocess.Popen")
sys.dont_write_bytecode = True
server, models, key, then, *killed_before = sys.argv[1:]
numbers = count(1)


def on_event(event: str, values: tuple) -> None:
    is_write = event == "open" and models in str(values[0]) and values[2] & os.O_ACCMODE
    exists = event == "os.mkdir" and os.path.exists(values[0])
    if is_write or (event in CHANGES and not exists):
        change = f"{next(numbers)} {event} {' '.join(map(str, values[:2]))}"
        if any(re.search(pattern, change) for pattern in killed_before):
            os.kill(os.getpid(), signal.SIGKILL)
        print(change, flush=True)


updater = Updater(Registry(server), "brightness", "champion", Path(models), [key], 1, reserve=0)
sys.addaudithook(on_event)
updater.probation.recover()
updater.check()
CurrentModel(Path(models, "brightness"), threads=1)
probation = updater.probation
if probation.is_active():
    probation.commit() if then == "commit" else probation.rollback("as the test wants")

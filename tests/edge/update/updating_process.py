"""A device's process: it recovers, polls, loads the model, and commits it or rolls it back.

python updating_process.py SERVER MODELS KEY commit|rollback
"""

import sys
from pathlib import Path

from edge.update.current import CurrentModel
from edge.update.registry import Registry
from edge.update.updater import Updater

server, models, key, then = sys.argv[1:]
updater = Updater(Registry(server), "brightness", "champion", Path(models), [key], 1, reserve=0)
updater.probation.recover()
updater.check()
CurrentModel(Path(models, "brightness"), threads=1)
probation = updater.probation
if probation.is_active():
    probation.commit() if then == "commit" else probation.rollback("as the test wants")

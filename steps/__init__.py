"""The pipeline: a module for each entry point of MLproject, and the rooms that hold their work."""

import gc
import os
import sys

# MLflow reports its use to its makers unless it finds this when it is imported
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

if sys.argv[:1] == ["-m"] and "-m steps." in " ".join(sys.orig_argv):
    # a command, such as `python -m steps.ingest`, which begins to import, and no program of others:
    # what libraries make stays: looking for garbage in it takes a third of their import
    gc.disable()

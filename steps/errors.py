"""Errors that a user can cause and mend."""

import sys
from pathlib import Path

RUN = "mlflow run ."
"""How a step is run, as errors tell it: what follows is `-e <step> -P …`."""
if Path(sys.prefix).parent.resolve() == Path(__file__).resolve().parents[1]:
    RUN += " --env-manager local"  # this Python is the project's own


class UserError(Exception):
    """A mistake of input or set-up, told in one line: what is wrong, and what to type next.

    A step that ends with it prints the line without a stack trace (``--debug`` shows it),
    exits with status 1, and leaves its run FAILED with the line as the tag ``failure``.
    """

"""Prints the rows of a Delta table and how many paths they have: python count_rows.py <table>."""

import os
import sys

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

try:
    paths = DeltaTable(sys.argv[1]).to_pyarrow_dataset().to_table(columns=["path"])["path"]
    print(len(paths), len(paths.unique()), flush=True)
    os._exit(0)  # threads of Arrow that still end would abort the interpreter's end
except TableNotFoundError:
    print(0, 0)

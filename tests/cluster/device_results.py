"""Print how many rows of `scores` devices have sent by a profile, and of how many frames."""

import json
import sys

import pyarrow as pa
import pyarrow.compute as pc

from steps.ingestion.tables import BY_DEVICE, SCORES, TIME
from steps.lake.newest import read_newest
from steps.settings.profile import load_profile

if __name__ == "__main__":
    schema = pa.schema([("scored_by", pa.string()), ("scored_at", TIME)])
    by_device = pc.starts_with(pc.field("scored_by"), BY_DEVICE)
    rows = read_newest(SCORES.path(load_profile(sys.argv[1])), schema, by_device)
    frames = rows.group_by(["scored_by", "scored_at"]).aggregate([])
    print(json.dumps([rows.num_rows, frames.num_rows]))

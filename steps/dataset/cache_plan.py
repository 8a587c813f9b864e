"""Which image is where in a Petastorm cache: its class, its split and its row group.

Each file is one row group. The row groups of a split have equal rows to within one, and their
number is a multiple of twelve: Petastorm assigns whole row groups, so two, three, four or six ranks
get the same work.
"""

import pandas as pd

from steps.dataset.own_split import HELD_OUT, LEFT_OUT
from steps.dataset.split import SPLITS, SplitRule
from steps.errors import RunStep, UserError
from steps.ingestion.label_text import normalize_label
from steps.ingestion.labelled import too_few_labels
from steps.landing.place import display
from steps.pipeline.outputs import Selection

GROUPS = 12
ROWS_PER_GROUP = 256


def plan_cache(
    known: pd.DataFrame, selection: Selection
) -> tuple[pd.DataFrame, list[str], dict[str, dict[str, int]]]:
    """Assign each image to a class, a split and a row group.

    Args:
        known: sha256, path, device_id, captured_at, label, and the split that an image brings, own.
            Equal bytes count once.
        selection: carries the split.

    Returns:
        The images of the three splits with ``class``, ``split`` and ``row_group``; the labels
        in the order of the classes; the number of images by split and label.

    Raises:
        UserError: there are fewer than two labels, or a split lacks one.
    """
    taken = frozenset({*known["own"]} & {*HELD_OUT})
    rule = SplitRule(selection.block_minutes, selection.guard_minutes, selection.split_seed, taken)
    known = known.assign(label=known["label"].map(normalize_label)).dropna(subset="label")
    known = known[known["label"] != (selection.test or None)]  # a folder of no class
    known = known[known["own"] != LEFT_OUT]
    rows = known.sort_values(["sha256", "path"]).drop_duplicates("sha256")
    labels = sorted(rows["label"].unique())
    if len(labels) < 2:
        raise too_few_labels(len(rows), rows["label"].value_counts().to_dict(), selection.source)
    times = rows["captured_at"].astype(object).where(rows["captured_at"].notna(), None)
    given = rows["own"].isin(HELD_OUT)
    captures = zip(times, rows["device_id"], rows["sha256"], strict=True)
    free = rule.assign([one for one, held_out in zip(captures, given, strict=True) if not held_out])
    rows = rows.assign(split=rows["own"])
    rows.loc[~given, "split"] = free
    rows = rows.assign(**{"class": rows["label"].map(labels.index)})
    counts = {
        split: {label: int(n) for label, n in group["label"].value_counts().items()}
        for split, group in rows.groupby("split")
    }
    _require_labels(rows, labels, counts, taken, selection)
    rows = rows[rows["split"].isin(SPLITS)]
    place = rows.groupby("split").cumcount()
    size = rows["split"].map(rows["split"].value_counts())
    groups = GROUPS * -(-size // (GROUPS * ROWS_PER_GROUP))
    return rows.assign(row_group=(place % groups).astype(int)), labels, counts


def _require_labels(
    rows: pd.DataFrame,
    labels: list[str],
    counts: dict[str, dict[str, int]],
    taken: frozenset[str],
    selection: Selection,
) -> None:
    """Raise an error that says what to do if a split lacks a label."""
    shorter = max(1, selection.block_minutes // 2)
    guard = min(selection.guard_minutes, shorter // 2)  # a longer one would leave little
    for split in SPLITS:
        if missing := [label for label in labels if label not in counts.get(split, {})]:
            if split in taken:
                raise UserError(
                    f"the set's own {split} split has no image labelled {' or '.join(missing)}; "
                    "put some there, or name another with -P test="
                )
            counted = rows["label"].value_counts()
            few = {one: n for one in labels if (n := int(counted[one])) < len(SPLITS)}
            if few:
                shown = ", ".join(f"{one} {n}" for one, n in few.items())
                merge = f"{next(iter(few))}=<other label>"
                raise UserError(
                    f"the {split} split has no image labelled {' or '.join(missing)}; too few "
                    f"images have a label ({shown}): label more, or merge it into another",
                    RunStep("label", {"source": display(selection.source), "merge": merge}),
                )
            shorter_blocks = (
                f"shorter blocks (-P block_minutes={shorter} -P guard_minutes={guard}), "
            ) * bool(
                rows["captured_at"].notna().any()
            )  # images without a time are split one by one
            raise UserError(
                f"the {split} split has no image labelled {' or '.join(missing)}; pass "
                f"{shorter_blocks}another -P split_seed={selection.split_seed + 1}, or ingest "
                "more images"
            )

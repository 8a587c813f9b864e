"""The split that a set of images brings itself, by its folders or by a table's column."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from steps.dataset.split import SPLITS, TEST, TRAIN, VALIDATION
from steps.errors import UserError
from steps.ingestion.folders import folder_of, normalize_split
from steps.ingestion.label_text import normalize_label
from steps.pipeline.outputs import Selection

HELD_OUT = (VALIDATION, TEST)


def own_splits(images: pd.DataFrame, selection: Selection) -> "pd.Series[str]":
    """Return the split that each image brings; null if it brings none.

    Args:
        images: path and split, as the table has them.
        selection: says which split or folder is the test set, if it has another name.

    Raises:
        UserError: there is no such split or folder.
    """
    splits = images["split"].map(normalize_split, na_action="ignore")
    if selection.test:
        named, split = normalize_label(selection.test), normalize_split(selection.test)
        folders = (folder_of(path, selection.source).split("/") for path in images["path"])
        in_folder = np.array([named in map(normalize_label, parts) for parts in folders])
        is_test = (splits == split) | in_folder
        if not is_test.any():
            raise UserError(
                f"no labelled image of {selection.source} is in a split or a folder called "
                f"{selection.test}, only in {', '.join(sorted(splits.dropna().unique())) or 'none'}"
                "; pass -P test=<folder, or value of the column split>, or leave it out"
            )
        splits = splits.where(splits != TEST).mask(is_test, TEST)
    return splits.where(splits.isin(SPLITS))


def describe_own_split(own: Collection[str]) -> str:
    """Return a sentence on where the splits are from.

    Args:
        own: the splits that the images bring.

    >>> describe_own_split(["test", "train"])
    "The test split is the set's own; validation is taken from its train split by blocks of time"
    """
    held_out = [split for split in HELD_OUT if split in own]
    if not held_out:
        return "Whole blocks of time go to one split"
    taken = [split for split in HELD_OUT if split not in own]
    if not taken:
        return "The splits are the set's own"
    return (
        f"The {held_out[0]} split is the set's own; {taken[0]} is taken from its {TRAIN} split by "
        "blocks of time"
    )

"""The split that a set of images brings itself, by its folders or by a table's column."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from steps.dataset.split import SPLITS, TEST, TRAIN, VALIDATION
from steps.errors import UserError
from steps.ingestion.folders import folder_of, normalize_split
from steps.ingestion.label_text import normalize_label
from steps.pipeline.outputs import Selection

HELD_OUT = (VALIDATION, TEST)
LEFT_OUT = "left out"
"""Of images in a split called test, if another one is to be the test set."""


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
        splits = splits.mask(splits == TEST, LEFT_OUT).mask(is_test, TEST)
    return splits.where(splits.isin((*SPLITS, LEFT_OUT)))


def source_with_test(source: str, test: str) -> tuple[str, str]:
    """Return the folder that has the images of both, and the name of the test set's within it.

    Args:
        source: the landing zone.
        test: the folder of the test set beside or in it, or a name, which stays as it is.

    Raises:
        UserError: there is no such folder, or other folders beside it would be read too.
    """
    if "/" not in test or "://" in source + test:
        return source, test
    own, held_out = (Path(place).expanduser().resolve() for place in (source, test))
    place = own if own in held_out.parents else own.parent
    if not held_out.is_dir() or held_out == own or place not in held_out.parents:
        raise UserError(
            f"{test} is not a folder in or beside {source}; pass -P test=<such a folder, or value "
            "of the column split>"
        )
    named = {own.name, held_out.relative_to(place).parts[0]}
    beside = [one.name for one in place.iterdir() if one.is_dir() and one.name not in named]
    others = sorted(name for name in beside if normalize_split(name) not in SPLITS)
    if place != own and others:
        raise UserError(
            f"{place} has other folders than {own.name} and {held_out.name}, such as {others[0]}; "
            f"move the test images into {source}/test"
        )
    return str(place), held_out.name


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

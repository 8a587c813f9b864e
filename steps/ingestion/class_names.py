"""What people call the labels: a name, a colour and a key for each, in the table ``classes``."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from steps.errors import UserError
from steps.ingestion.label_text import normalize_label
from steps.ingestion.tables import CLASSES
from steps.lake.newest import read_newest
from steps.settings.profile import Profile

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#8c510a")
"""Different also to people who are colour-blind (Okabe and Ito)."""
KEYS = "123456789"


class ClassName(NamedTuple):
    """How the label of a class is shown.

    Attributes:
        name: for people.
        colour: as in ``#0072b2``.
        key: that gives the label; empty if all are taken.
    """

    name: str
    colour: str
    key: str


def class_names(profile: Profile) -> dict[str, ClassName]:
    """Return the named labels, in their order; Spark is not started."""
    schema = pa.schema([(name, pa.string()) for name in CLASSES.types])
    rows = read_newest(CLASSES.path(profile), schema, pc.field("label").is_valid())
    return {row.pop("label"): ClassName(**row) for row in rows.sort_by("label").to_pylist()}


def parse_class_names(text: str) -> dict[str, str]:
    """Return names by label, from a text such as ``0=no package,1=package``.

    Raises:
        UserError: it is not such a text, or two labels have one name.
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    names = {normalize_label(label): normalize_label(name) for label, _, name in pairs}
    found = {label: name for label, name in names.items() if label and name}
    if len(found) < len(pairs) or len({*found.values()}) < len(found):
        raise UserError(
            f"{text} does not name labels: pass each label once, with a name of its own, such as "
            "-P names='0=no package,1=package'"
        )
    return found


def set_class_names(spark: SparkSession, profile: Profile, names: dict[str, str]) -> None:
    """Name labels; each version of the table says in its message what it named.

    A label keeps the colour and the key that it has; a new one gets the next.

    Args:
        spark: the session.
        profile: names the lake.
        names: by label.

    Raises:
        UserError: another label has such a name.
    """
    known = class_names(profile)
    for label, one in known.items():
        if label not in names and one.name in names.values():
            raise UserError(f"{label} is called {one.name} already: merge the labels, or rename it")
    rows = []
    for label, name in names.items():
        free = (key for key in KEYS if key not in {one.key for one in known.values()})
        new = ClassName(name, COLOURS[len(known) % len(COLOURS)], next(free, ""))
        known[label] = known.get(label, new)._replace(name=name)
        rows.append((label, *known[label]))
    CLASSES.open(spark, profile)
    given = spark.createDataFrame(rows, CLASSES.columns)

    CLASSES.merge(
        *(spark, profile, given, "row.label = new.label"),
        lambda into: into.whenMatchedUpdateAll().whenNotMatchedInsertAll(),
        "named " + ", ".join(f"{label}={name}" for label, name in names.items()),
    )

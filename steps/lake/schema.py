"""The version of the tables' schema, which each table has as a property."""

from collections.abc import Mapping

from edge.protocol.version import project_version
from steps.errors import UserError

SCHEMA = 1
"""The newest that this code knows: raised if older code would read or write a table wrongly, as
after a column got another meaning. A table from before there was one has 0."""

PROPERTY = "lakehouse.schema"


def is_current(properties: Mapping[str, str]) -> bool:
    """Return whether a table with these properties has the newest schema."""
    return properties.get(PROPERTY) == str(SCHEMA)


def require_known(table: str, properties: Mapping[str, str]) -> None:
    """Check that this code knows the schema of a table.

    Args:
        table: folder or URI.
        properties: of the table.

    Raises:
        UserError: a later version of the project wrote it.
    """
    schema = properties.get(PROPERTY, "0")
    if not schema.isdecimal() or int(schema) > SCHEMA:
        raise UserError(
            f"a later version of this project wrote {table} (schema {schema}; version "
            f"{project_version()} knows {SCHEMA}); update: git pull && make setup"
        )

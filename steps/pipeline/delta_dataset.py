"""A Delta table at a version, as an MLflow dataset of the active run."""

import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset


def log_delta_version(table: str, version: int, context: str) -> None:
    """Log to the active run that it wrote or read ``table`` at ``version``.

    Args:
        table: the table's folder or URI.
        version: the Delta version.
        context: what the table was used for, such as ``training``.
    """
    source = DeltaDatasetSource(path=table, delta_table_version=version)
    mlflow.log_input(MetaDataset(source, name=table.rsplit("/", 1)[-1]), context=context)

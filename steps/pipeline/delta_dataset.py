"""A Delta table at a version, as an MLflow dataset of the active run."""

import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException


def log_delta_version(table: str, version: int, context: str) -> None:
    """Log to the active run that it wrote or read ``table`` at ``version``.

    MLflow's store looks whether it has the dataset, then adds it. Where another run adds the same
    one in between, the second call finds it.

    Args:
        table: the table's folder or URI.
        version: the Delta version.
        context: what the table was used for, such as ``training``.
    """
    source = DeltaDatasetSource(path=table, delta_table_version=version)
    dataset = MetaDataset(source, name=table.rsplit("/", 1)[-1])
    try:
        mlflow.log_input(dataset, context=context)
    except MlflowException as error:
        if "IntegrityError" not in str(error):
            raise
        mlflow.log_input(dataset, context=context)

"""Which MLflow store the runs go to."""

import os

import mlflow

from steps.settings.profile import Profile


def use_tracking_store(profile: Profile) -> str:
    """Point MLflow at the profile's store, for this process and those it starts.

    Without a ``tracking_uri``, ``MLFLOW_TRACKING_URI`` decides, or else MLflow's default. If
    ``mlflow run`` opened its run in another store than the profile's, the step opens its own run
    in the profile's store.

    Returns:
        The store's URI, absolute so that workers in other folders find it.
    """
    wanted = absolute_store_uri(profile.tracking_uri or "")
    if wanted and wanted != absolute_store_uri(os.environ.get("MLFLOW_TRACKING_URI", "")):
        mlflow.set_tracking_uri(wanted)
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(variable, None)
    uri = absolute_store_uri(mlflow.get_tracking_uri())
    mlflow.set_tracking_uri(uri)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return uri


def absolute_store_uri(uri: str) -> str:
    """Return a SQLite URI with an absolute path; any other URI as it is.

    >>> absolute_store_uri("http://127.0.0.1:5000")
    'http://127.0.0.1:5000'
    """
    scheme = "sqlite:///"
    if not uri.startswith(scheme):
        return uri
    return scheme + os.path.abspath(uri.removeprefix(scheme))

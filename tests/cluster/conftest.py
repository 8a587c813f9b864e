"""A cluster on this machine for the length of the tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from cluster_site import Site
from services import SERVERS, cluster


@pytest.fixture(scope="module")
def site(running_site: Site) -> Site:
    mlflow.set_tracking_uri(running_site.cluster.tracking_uri)  # which MLflow forgets after modules
    return running_site


@pytest.fixture(scope="session")
def running_site() -> Iterator[Site]:
    if not SERVERS.is_dir():
        pytest.skip("no .venv-cluster here: `make cluster` builds it and runs these tests")
    # not pytest's own folder, which PostgreSQL's user may not enter
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as folder,
        pytest.MonkeyPatch.context() as m,
    ):
        home = Path(folder)
        home.chmod(0o755)
        with cluster(home) as running:
            for name, value in running.environment().items():
                m.setenv(name, value)
            for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
                m.delenv(variable, raising=False)
            yield Site(running, home)

"""What errors say runs where this step ran."""

import pytest

from steps.errors import run_command

LOCAL = "mlflow run . --env-manager local"
MADE = f"mlflow-{'0a' * 20}"


@pytest.mark.parametrize(
    ("prefix", "typed"),
    [
        ("/home/ann/lakehouse-vision/.venv", LOCAL),
        ("/srv/environments/vision", LOCAL),  # elsewhere, also behind a symbolic link
        ("/usr", LOCAL),
        ("/opt/conda/envs/mlflow-3", LOCAL),  # a user's own
        (f"/home/ann/.mlflow/envs/{MADE}", "mlflow run ."),
        (f"/opt/conda/envs/{MADE}", "mlflow run ."),
        (f"/opt/conda/envs/{MADE}-{'1b' * 20}", "mlflow run ."),  # of an env_root_dir
    ],
)
def test_a_step_is_run_again_in_the_environment_that_it_ran_in(prefix, typed):
    assert run_command(prefix) == typed

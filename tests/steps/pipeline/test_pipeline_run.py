"""A step that is skipped: its latest run has to be of the images that were asked for."""

from types import SimpleNamespace

import pytest

from steps import ingest, register, train
from steps.errors import UserError
from steps.pipeline.pipeline_run import _require_source


@pytest.mark.parametrize(
    ("step", "outputs"),
    [
        (ingest, SimpleNamespace(source="file:/home/me/boots")),
        (train, SimpleNamespace(selection=SimpleNamespace(source="file:/home/me/boots"))),
    ],
)
def test_a_skipped_step_is_not_taken_from_another_data_set(step, outputs):
    _require_source(outputs, step.STEP, "/home/me/boots/", "file:/home/me/boots")
    message = f"latest run of {step.STEP.name} is of file:/home/me/boots, not of /home/me/shoes"
    with pytest.raises(UserError, match=message):
        _require_source(outputs, step.STEP, "/home/me/shoes", "file:/home/me/shoes")
    _require_source(
        SimpleNamespace(model="boots"), register.STEP, "/home/me/shoes", "file:/home/me/shoes"
    )

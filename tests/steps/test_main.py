"""The pipeline's command line: whose parameter is whose."""

import shlex

import pytest

from steps import ingest, main, train, tune
from steps.errors import UserError
from steps.pipeline.commands import Commands
from steps.pipeline.pipeline_parameters import ALONE, parameters_of, rename_hints
from steps.settings.parameters import input_step, parse_parameters


@pytest.mark.parametrize("step", main.PIPELINE, ids=lambda step: step.name)
def test_a_parameter_of_one_step_has_the_steps_name_before_it(step):
    known = main.Parameters.model_fields
    for name, field in step.parameters.model_fields.items():
        prefixed = f"{step.name}_{name}"
        if input_step(name) or name in ALONE:
            assert name not in known and prefixed not in known
        elif name in main.OwnParameters.model_fields:
            assert prefixed not in known
            assert known[name].default == field.default
        else:
            assert name not in known
            assert known[prefixed].default == field.default
            assert known[prefixed].description == field.description


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--train_epochs", "0"], "train_epochs: "),
        (["--train_launcher", "mpi"], "train_launcher: "),
        (["--tune_trials", "few"], "tune_trials: "),
        (["--input_size", "8"], "input_size: "),
        (["--max_miss_rate.crack", "1"], "max_miss_rate: 'crack=1' is not a label with a rate"),
        (["--max_miss_rate", "0.1"], "max_miss_rate: '0.1' is not a label with a rate"),
        (["--max_miss_rate.a=0.1", "--max_miss_rate.b=0.1"], "only one max_miss_rate"),
    ],
)
def test_the_bounds_of_each_step_hold_for_the_pipeline(argv, told):
    with pytest.raises(UserError, match=told):
        parse_parameters(main.Parameters, "main", argv)


@pytest.mark.parametrize(
    ("argv", "runs", "expected"),
    [
        ([], {}, {}),
        (["--train_epochs", "3"], {}, {"epochs": 3}),
        (["--tune_epochs", "3", "--tune_seed", "1"], {}, {}),
        (["--input_size", "64", "--profile", "farm"], {}, {"input_size": 64, "profile": "farm"}),
        ([], {"ingest": "1", "tune": "2"}, {"ingest_run_id": "1", "tune_run_id": "2"}),
        (["--max_miss_rate.crack", "0.01"], {}, {"max_miss_rate": "crack=0.01"}),
        (["--max_miss_rate", "R&D=0.01"], {}, {"max_miss_rate": "R&D=0.01"}),
    ],
)
def test_a_step_gets_its_own_parameters_and_the_runs_before_it(argv, runs, expected):
    parameters = parse_parameters(main.Parameters, "main", argv)
    assert parameters_of(train.STEP, parameters, runs) == train.Parameters(**expected)


@pytest.mark.parametrize("label", ["crack", "blue shoes", "a.b", "a=b", "Tür", "R&D", "it's"])
@pytest.mark.parametrize("typed", ["--max_miss_rate.{}=0.25", "--max_miss_rate={}=0.25"])
def test_a_wish_for_any_label_reaches_train_and_its_commands(label, typed):
    parameters = parse_parameters(main.Parameters, "main", [typed.format(label)])
    passed = parameters_of(train.STEP, parameters, {}).non_default()
    # a value may have any character in `mlflow run`, the name of a parameter only some
    assert passed == {"max_miss_rate": f"{label}=0.25"}
    argv = [word for name, value in passed.items() for word in (f"--{name}", value)]
    assert parse_parameters(train.Parameters, "train", argv).max_miss_rate == f"{label}=0.25"
    assert shlex.split(Commands("main", parameters).rerun())[-1] == f"max_miss_rate={label}=0.25"


@pytest.mark.parametrize(
    ("step", "message", "said"),
    [
        (ingest, "pass -P gps=keep to keep it", "pass -P ingest_gps=keep to keep it"),
        (tune, "pass more -P minutes", "pass more -P tune_minutes"),
        (train, "pass -P weights=none", "pass -P train_weights=none"),
        (ingest, "pass another -P source=", "pass another -P source="),
        (train, "another -P split_seed=1", "another -P split_seed=1"),
        (train, "pass -P profile=moon", "pass -P profile=moon"),
        (train, "pass -P tune_run_id=none", "pass -P tune_run_id=none"),
    ],
)
def test_a_hint_of_a_step_names_the_parameter_of_the_pipeline(step, message, said):
    assert rename_hints(message, step.STEP, main.Parameters.model_fields) == said

"""A step's command line: flags, types, bounds, and what is said about each."""

import importlib
import re
from typing import Literal

import pytest
import yaml
from pydantic import Field

from edge.protocol.version import project_version
from steps import main
from steps.errors import RUN, UserError
from steps.settings.parameters import StepParameters, parse_parameters
from steps.settings.profile import PROJECT

STEPS = list(yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"])


class Parameters(StepParameters):
    """Develop a film."""

    minutes: int = Field(7, ge=1, le=60, description="in the tank, minutes")
    dilution: float | None = Field(None, gt=0, description="parts of water; none: undiluted")
    water: str | None = Field(None, description="its source; none: the tap")
    note: str = Field("", description="at 100 % in the developer's words")
    film: Literal["negative", "slide"] = Field("negative", description="negative or slide")
    dry: bool = Field(False, description="hang it up")


def parsed(*argv: str) -> dict:
    """What the command line says beyond the parameters that every step has."""
    return parse_parameters(Parameters, "develop", list(argv)).model_dump(
        exclude={"profile", "model", "debug", "verbose"}
    )


DEFAULTS = {
    "override": "",
    "minutes": 7,
    "dilution": None,
    "water": None,
    "note": "",
    "film": "negative",
    "dry": False,
}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["--minutes", "60"], {"minutes": 60}),
        (["--minutes=1"], {"minutes": 1}),
        (["--dilution", "2.5e1"], {"dilution": 25.0}),
        (["--dilution", "none"], {}),
        (["--water", "none"], {}),
        (["--water", "rain"], {"water": "rain"}),
        (["--note", "none"], {"note": "none"}),
        (["--note", "a b; 'c' ü"], {"note": "a b; 'c' ü"}),
        (["--note", ""], {"note": ""}),
        (["--film", "slide", "--dry"], {"film": "slide", "dry": True}),
        (["--dry", "--film", "slide"], {"film": "slide", "dry": True}),
        (["--dry", "true"], {"dry": True}),
        (["--dry", "False"], {"dry": False}),
        (["--minutes", "3", "--minutes", "4"], {"minutes": 4}),
        (["--note.crack", "0.1"], {"note": "crack=0.1"}),
        (["--note.crack=0.1"], {"note": "crack=0.1"}),
        (["--note.a.b", "0.1", "--dry"], {"note": "a.b=0.1", "dry": True}),
        (["--note.a", "b=0.1"], {"note": "a=b=0.1"}),  # how MLflow passes the key a=b
        (["--note.blue shoes: ü", "0.1"], {"note": "blue shoes: ü=0.1"}),
        (["--dry", "--note.-x", "-1"], {"note": "-x=-1", "dry": True}),
        (["--note", "minutes.x=1"], {"note": "minutes.x=1"}),
        (["--override.lake", "/a b", "--note.a", ""], {"override": "lake=/a b", "note": "a="}),
    ],
)
def test_a_flag_sets_its_parameter_and_no_other(argv, expected):
    assert parsed(*argv) == DEFAULTS | expected


def test_every_step_has_a_profile_and_a_debug_flag():
    parameters = parse_parameters(Parameters, "develop", ["--profile", "darkroom", "--debug"])
    assert (parameters.profile, parameters.debug) == ("darkroom", True)
    defaults = parse_parameters(Parameters, "develop", [])
    assert (defaults.profile, defaults.debug) == ("local", False)


def test_without_arguments_the_command_line_is_read(monkeypatch):
    monkeypatch.setattr("sys.argv", ["develop.py", "--minutes", "9"])
    assert parse_parameters(Parameters, "develop").minutes == 9


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--minutes", "0"], ["minutes: 0 is too small: it has to be at least 1; "]),
        (["--minutes", "61"], ["minutes: 61 is too large: it can be at most 60; "]),
        (["--minutes", "-3"], ["minutes: -3 is too small: it has to be at least 1; "]),
        (["--minutes", "many"], ["minutes: 'many' is not a whole number; "]),
        (["--minutes", "1.5"], ["minutes: '1.5' is not a whole number; "]),
        (["--minutes", "none"], ["minutes: 'none' is not a whole number; "]),
        (["--minutes", ""], ["minutes: '' is not a whole number; "]),
        (["--dilution", "0"], ["dilution: 0 is too small: it has to be more than 0; "]),
        (["--dilution", "nan"], ["dilution: 'nan' is not a finite number; "]),
        (["--film", "Slide"], ["film: 'Slide' is not 'negative' or 'slide'; "]),
        (["--dry", "perhaps"], ["dry: 'perhaps' is neither true nor false; "]),
        (["--minutes", "0", "--film", "x"], ["minutes: ", "; film: "]),
    ],
)
def test_a_value_that_does_not_fit_is_reported_in_one_line(argv, told):
    with pytest.raises(UserError) as caught:
        parsed(*argv)
    said = str(caught.value)
    assert "\n" not in said and said.endswith("see: python -m steps.develop --help")
    for part in told:
        assert part in said
    for name in DEFAULTS.keys() - {flag.removeprefix("--") for flag in argv}:
        assert f"{name}: " not in said


WRONG = ["x/{y}:", "-1", "99999999999", "1e999", ""]
JARGON = re.compile(
    r"Input should|valid (integer|number)|unable to|fromhex|isoformat|\^|\\\\|regex"
)


@pytest.mark.parametrize("step", STEPS)
def test_a_wrong_value_of_any_parameter_is_reported_in_plain_words(step):
    parameters, refused = importlib.import_module(f"steps.{step}").Parameters, set()
    for name, field in parameters.model_fields.items():
        for value in WRONG:
            try:
                parse_parameters(parameters, step, [f"--{name}={value}"])
            except UserError as error:
                refused.add(name)
                said = str(error)
                assert said.startswith(f"{name}: ") and "\n" not in said
                assert not JARGON.search(said), said
        assert name in refused or field.annotation is str, f"{name} takes anything"


@pytest.mark.parametrize("argv", [["minutes=3"], ["-minutes=3"], ["-P", "minutes=3"]])
def test_a_parameter_that_is_written_otherwise_is_reported_with_the_way_to_write_it(argv):
    with pytest.raises(UserError, match=f"^{argv[0]} is not how develop takes a parameter; write"):
        parsed(*argv)


@pytest.mark.parametrize(
    ("argv", "named", "meant"),
    [
        (["--minute", "3"], "minute", "did you mean minutes? "),
        (["--colour=red"], "colour", ""),
        (["7"], "7", ""),
        (["--MINUTES", "3"], "MINUTES", "did you mean minutes? "),
        (["--minites=3", "--colour=red"], "minites", "did you mean minutes? "),
        (["--nothe.crack", "0.1"], "nothe", "did you mean note? "),
    ],
)
def test_what_is_no_parameter_is_reported_with_what_may_be_meant(argv, named, meant):
    with pytest.raises(UserError) as caught:
        parsed(*argv)
    assert str(caught.value) == (
        f"develop has no parameter {named!r}; {meant}see: python -m steps.develop --help"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trials", "tune_trials"),
        ("epochs", "tune_epochs or train_epochs"),
        ("train-epochs", "train_epochs"),
        ("train_epoch", "train_epochs"),
        ("epoch", "tune_epochs or train_epochs"),
        ("sources", "source"),
        ("xyz", None),
    ],
)
def test_a_parameter_of_a_step_is_guessed_for_the_pipeline(typed, meant):
    with pytest.raises(UserError) as caught:
        parse_parameters(main.Parameters, "main", [f"--{typed}=1"])
    guess = str(caught.value).partition("; ")[2].partition("see:")[0]
    assert guess == (f"did you mean {meant}? " if meant else "")


@pytest.mark.parametrize("second", ["--note.b=2", "--note.a=1"])
def test_a_dotted_name_is_given_once(second):
    with pytest.raises(UserError, match=r"^develop takes only one note\.<…>; pass one of them$"):
        parsed("--note.a", "1", second)


def test_a_flag_without_its_value_ends_with_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--minutes")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m steps.develop")


def _entries(text: str) -> dict[str, str]:
    """What the help says about each flag, its lines joined."""
    return {
        flag: " ".join(words.split())
        for flag, words in re.findall(
            r"^  --(\w+) (.*?)(?=^  --|^\S)", text, flags=re.DOTALL | re.MULTILINE
        )
    }


def _help(model: type[StepParameters], step: str, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        parse_parameters(model, step, ["--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_tells_what_the_step_does_and_each_flag_with_unit_and_default(capsys):
    said = _help(Parameters, "develop", capsys)
    assert "Develop a film." in said
    assert f"{RUN} -e develop -P <parameter>=<value>" in " ".join(said.split())
    assert _entries(said) == {
        "version": "show program's version number and exit",
        "profile": "VALUE name of a file in profiles/, or the path of a profile (default: local)",
        "override": "VALUE values to replace in the profile, such as "
        "training.processes=4,lake=/data (default: empty)",
        "model": "VALUE the registered model's name, in place of the profile's; without either, "
        "the last folder of the source that it is trained on (default: empty)",
        "debug": "[VALUE] show the stack trace of an error (default: False)",
        "verbose": "[VALUE] show all log lines of Spark, TensorFlow and MLflow (default: False)",
        "minutes": "VALUE in the tank, minutes (default: 7)",
        "dilution": "VALUE parts of water; none: undiluted (default: none)",
        "water": "VALUE its source; none: the tap (default: none)",
        "note": "VALUE at 100 % in the developer's words (default: empty)",
        "film": "VALUE negative or slide (default: negative)",
        "dry": "[VALUE] hang it up (default: False)",
    }


@pytest.mark.parametrize("step", ["train", "main"])
def test_version_is_that_of_the_project(step, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"steps.{step}").STEP.main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"lakehouse-vision {project_version()}\n"


def test_promote_has_a_version_of_its_own():
    promote = importlib.import_module("steps.promote").STEP
    assert parse_parameters(promote.parameters, "promote", ["--version", "3"]).version == 3


@pytest.mark.parametrize("step", STEPS)
def test_help_of_each_entry_point_explains_all_its_parameters(step, capsys):
    parameters = importlib.import_module(f"steps.{step}").STEP.parameters
    said = _entries(_help(parameters, step, capsys))
    assert set(said) - {"help"} == {"version", *parameters.model_fields}
    for name, field in parameters.model_fields.items():
        assert field.description
        assert " ".join(field.description.split()) in said[name]
        shown = {None: "none", "": "empty"}.get(field.default, str(field.default))
        assert said[name].endswith(f"(default: {shown})")

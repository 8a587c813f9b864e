"""Every `mlflow run` in docs, help texts and messages names an entry point and its parameters."""

import ast
import itertools
import re
from collections.abc import Iterator
from importlib import import_module

import pytest
from doc_lines import (
    DOCS,
    ENTRY_POINTS,
    OPEN,
    PYTHON,
    TOP,
    docs,
    everything,
    parameters_of,
    report,
    words_of,
)

from steps.settings.parameters import StepParameters

NEEDS_NO_ENVIRONMENT = {
    "docs/measured.md": "names the command whose time was taken, as it was typed then",
}
"""Docs in which `mlflow run` may stand without --env-manager, and why."""


def _wrong_parameters(words: list[str], unnamed: set[str]) -> Iterator[str]:
    """What is wrong with ``-e`` and ``-P`` among the words.

    Args:
        words: of the command.
        unnamed: the parameters that are valid where no entry point is named.
    """
    entry_point, valid = "main", unnamed
    if "-e" in words[:-1]:
        entry_point = words[words.index("-e") + 1].strip(",.:")
        if OPEN.search(entry_point):
            return
        if entry_point not in ENTRY_POINTS:
            yield f"there is no entry point {entry_point!r}"
            return
        valid = parameters_of(entry_point)
    for flag, word in itertools.pairwise(words):
        name = word.partition("=")[0]
        if flag == "-P" and "=" in word and not OPEN.search(name):
            name = name.partition(".")[0]  # what follows a dot begins the value
            if name in valid:
                continue
            yield f"{entry_point} has no parameter {name!r}"


def test_the_files_are_found():
    assert len(DOCS) > 10 and len(PYTHON) > 150 and len(everything()) > 5000


def test_every_mlflow_run_names_an_entry_point_and_its_parameters():
    commands = [
        (line.place, match[1])
        for line in everything()
        for match in re.finditer(r"(?:mlflow run|\$\(PROJECT\)) (.*)", line.text)
    ]
    assert len(commands) > 20
    report(
        [
            f"{place}: {problem}"
            for place, command in commands
            for problem in _wrong_parameters(words_of(command), parameters_of("main"))
        ]
    )


def test_every_parameter_named_alone_belongs_to_a_step():
    """In docs one of main, since that is what is typed where no ``-e`` is named."""
    anywhere = set().union(*map(parameters_of, ENTRY_POINTS))
    in_docs = {line.place for line in docs()}
    problems, found = [], 0
    for place, text in everything():
        # without what follows `mlflow run`, which the test above reads
        for match in re.finditer(
            r"(?<!\S)[`(\"']*(-[eP] [^`]*)", re.sub(r"mlflow run.*", "", text)
        ):
            if match[1].startswith("-P") or place in in_docs or place.startswith("steps/"):
                found += 1
                unnamed = parameters_of("main") if place in in_docs else anywhere
                words = words_of(match[1])
                if words and words[0] == "-e" and words[1] not in ENTRY_POINTS:
                    continue  # of another program
                problems += [f"{place}: {p}" for p in _wrong_parameters(words, unnamed)]
    assert found > 30
    report(problems)


def test_docs_run_the_project_in_its_own_environment():
    report(
        [
            f"{line.place}: `mlflow run` without --env-manager asks for conda"
            for line in docs()
            if re.search(r"mlflow run \.(?! --env-manager)", line.text)
            and line.place.partition(":")[0] not in NEEDS_NO_ENVIRONMENT
        ]
    )


def test_the_parameters_that_steps_put_into_commands_exist():
    """``next_command("train", tune_run_id=…)`` and its like in the source of steps/."""
    problems, found = [], 0
    for path in (TOP / "steps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and node.keywords):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            step = node.args[0]
            if not called.startswith("next") or not isinstance(step, ast.Constant):
                continue
            found += 1
            place = f"{path.relative_to(TOP)}:{node.lineno}"
            if step.value not in ENTRY_POINTS:
                problems.append(f"{place}: there is no entry point {step.value!r}")
                continue
            names = {keyword.arg for keyword in node.keywords if keyword.arg}
            problems += [
                f"{place}: {step.value} has no parameter {name!r}"
                for name in sorted(names - parameters_of(step.value))
            ]
    assert found >= 4
    report(problems)


@pytest.mark.parametrize("step", ENTRY_POINTS)
def test_every_entry_point_is_a_step_with_described_parameters(step):
    parameters = import_module(f"steps.{step}").STEP.parameters
    assert issubclass(parameters, StepParameters)
    assert all(field.description for field in parameters.model_fields.values())


def test_a_wrong_command_is_found():
    def problems(command):
        return list(_wrong_parameters(words_of(command), parameters_of("main")))

    assert problems(". -e ingest -P source=x -P gps=keep") == []
    assert problems(". -P gps=keep") == ["main has no parameter 'gps'"]
    assert problems(". -P max_miss_rate.crack=0.01") == []
    assert problems(". -P miss_rate.crack=0.01") == ["main has no parameter 'miss_rate'"]
    assert problems(". -e tain") == ["there is no entry point 'tain'"]
    assert problems(". -e train -P 'epoch=4' # twice") == ["train has no parameter 'epoch'"]
    assert problems(". -e <step> -P <parameter>=<value>") == []

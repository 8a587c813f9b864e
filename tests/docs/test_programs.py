"""Every `make`, `python -m` and `edge-agent` in docs and messages exists, with its options."""

import argparse
import re
from functools import cache
from pathlib import Path

from doc_lines import (
    DOCS,
    ENTRY_POINTS,
    MADE_BY_THE_READER,
    TOP,
    everything,
    lines_of,
    parameters_of,
    report,
    words_of,
)

from edge.cli.main import _parser


def test_every_make_names_a_target_and_its_variables():
    makefile = (TOP / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    problems, found = [], 0
    fenced = _in_fences()
    for place, text in everything():
        start = r"^\s*(?:\w+=\S+ )*" if place in fenced else r"(?:`(?:\w+=\S+ )*|run:? `?|&& )"
        for match in re.finditer(rf"{start}make ([a-z]+)((?: [A-Z]+=)?)", text):
            found += 1
            if match[1] not in targets:
                problems.append(f"{place}: the Makefile has no target {match[1]!r}")
            if (variable := match[2].strip(" =")) and variable not in makefile:
                problems.append(f"{place}: the Makefile has no variable {variable!r}")
    assert found > 15
    report(problems)


def _in_fences() -> set[str]:
    """The places of docs that stand in a block of code."""
    places: set[str] = set()
    for path in DOCS:
        inside = False
        for line in lines_of(path, path.read_text(encoding="utf-8")):
            if line.text.lstrip().startswith("```"):
                inside = not inside
            elif inside or line.text.startswith("    "):
                places.add(line.place)
    return places


@cache
def _device_options() -> dict[str, set[str]]:
    """The options of each of the agent's commands."""
    (commands,) = (
        action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: {option for action in parser._actions for option in action.option_strings}
        for name, parser in commands.choices.items()
    }


def test_every_command_of_the_device_and_its_options_exist():
    commands = [
        (line.place, words_of(match[1]))
        for line in everything()
        for match in re.finditer(
            r"(?:-m edge|\bedge-agent|\{\}|edge/install/edge-agent) (\w.*)", line.text
        )
        if "-m edge " in match[0] or "edge-agent " in match[0]
    ]
    assert len(commands) > 15
    problems = []
    for place, words in commands:
        for name in words[0].split("|"):
            options = _device_options().get(name)
            if options is None:
                if _is_prose(words):
                    continue
                problems.append(f"{place}: there is no command {name!r}")
                continue
            problems += [
                f"{place}: {name} has no option {word!r}"
                for word in words[1:]
                if word.startswith("--") and word.partition("=")[0] not in options
            ]
    report(problems)


def _is_prose(words: list[str]) -> bool:
    """Whether the program's name is followed by a sentence rather than by a command."""
    return not any(word.startswith("-") for word in words)


def test_every_module_that_is_run_exists_and_has_its_options():
    problems, found = [], 0
    for place, text in everything():
        for match in re.finditer(r"-m ((?:steps|benchmarks)\.[\w.]+)(.*)", text):
            found += 1
            path = TOP / (match[1].rstrip(".").replace(".", "/") + ".py")
            if not path.is_file():
                if path.relative_to(TOP).as_posix() not in MADE_BY_THE_READER:
                    problems.append(f"{place}: there is no module {match[1]}")
                continue
            known = _options_of(path)
            problems += [
                f"{place}: {match[1]} has no option {word!r}"
                for word in words_of(match[2])
                if word.startswith("--") and word.partition("=")[0] not in known
            ]
    assert found > 20
    report(problems)


def _options_of(path: Path) -> set[str]:
    """The options of a module: a step's parameters, or what it and its helpers add by name."""
    module = ".".join(path.relative_to(TOP).with_suffix("").parts)
    if module.removeprefix("steps.") in ENTRY_POINTS:
        own = {f"--{name}" for name in parameters_of(module.removeprefix("steps."))}
        return {"--help", "--version"} | own
    sources = [path.read_text(encoding="utf-8")]
    if module.startswith("benchmarks."):
        for helper in set(re.findall(r"benchmarks(?:\.| import )(\w+)", sources[0])):
            file = TOP / "benchmarks" / f"{helper}.py"
            sources += [file.read_text(encoding="utf-8")] if file.is_file() else []
    return {"--help"} | {
        o for source in sources for o in re.findall(r"[\"'](--[\w-]+)[\"']", source)
    }


def test_every_option_of_the_installer_exists():
    script = (TOP / "edge/install/install.sh").read_text()
    named = {
        (line.place, option)
        for line in everything()
        for match in re.finditer(r"install\.sh ((?:--[\w-]+ ?)+)", line.text)
        for option in match[1].split()
    }
    unknown = [pair for pair in named if not re.search(rf"{pair[1]}[ )]", script)]
    report([f"{place}: install.sh has no option {option}" for place, option in unknown])

"""What a cell shows of a step: progress at once, an error in one line, and an end after Ctrl-C."""

import os
import signal
import threading
import time

import pytest

from steps.errors import UserError
from steps.interactive import process
from steps.interactive.process import CellOutput, run_step

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "a.py", line 1, in <module>\n'
    "    save()\n"
    "py4j.Py4JJavaError: An error occurred\n"
    "\tat org.apache.spark.Page.of(Java)\n"
)


@pytest.mark.parametrize(
    ("content", "shown", "failure"),
    [
        ("starting …\n", "starting …\n", "starting …"),
        ("[Stage 1:>  ]\r", "[Stage 1:>  ]\r", "[Stage 1:>  ]"),
        ("one\ntrain: no images\n", "one\n", "train: no images"),
        ("train: tune has not run\none\n", "train: tune has not run\none\n", "one"),
        (
            f"one\n{TRACE}",
            "one\n",
            "train: py4j.Py4JJavaError: An error occurred; its trace is in the report: "
            "inspect('train')",
        ),
        (f"{TRACE}train: fixed by hand\n", "", "train: fixed by hand"),
        ("", "", "train failed without a word"),
    ],
)
def test_what_may_be_the_error_waits(capsys, content, shown, failure):
    output = CellOutput("train")
    for byte in content.encode():
        output.feed(bytes([byte]))
    by_bytes = capsys.readouterr().out
    assert output.failure == failure
    output = CellOutput("train")
    output.feed(content.encode())
    assert capsys.readouterr().out == shown
    assert by_bytes in content and by_bytes.startswith(shown)
    output.show_rest()
    assert capsys.readouterr().out == content[len(shown) :]


def test_a_trace_that_a_library_logged_holds_back_few_lines(capsys):
    output, shown = CellOutput("train"), []
    for line in [TRACE, *(f"epoch {number}\n" for number in range(1, 31)), "train: done\n"]:
        output.feed(line.encode())
        shown.append(capsys.readouterr().out)
    assert shown[:10] == [""] * 10
    assert "".join(shown).startswith(TRACE) and shown[30:] == ["epoch 30\n", ""]


@pytest.fixture
def step(tmp_path, monkeypatch):
    """Makes a step of a program, in a project of its own."""

    def of(program: str) -> str:
        (tmp_path / "steps").mkdir()
        (tmp_path / "steps" / "__init__.py").touch()  # before the project's on Spark's PYTHONPATH
        (tmp_path / "steps" / "small.py").write_text(program)
        return "small"

    monkeypatch.setattr(process, "PROJECT", tmp_path)
    return of


def test_a_step_runs_in_the_project_as_in_a_terminal_and_gives_its_run(step, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    program = (
        "import os, sys\n"
        "print(os.path.basename(sys.argv[0]), sys.argv[1:], os.get_terminal_size().columns)\n"
        "print(sys.stderr.isatty(), sys.stdin.isatty(), os.environ.get('MPLBACKEND'))\n"
        "print('run_id=of_a_nested_one\\nrun_id=5f', flush=True)"
    )
    assert run_step(step(program), ["--epochs=3"]) == "5f"
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["small.py ['--epochs=3'] 100", "True False None"]


def test_a_step_that_fails_is_an_error_of_one_line(step, capsys):
    program = "import sys; print('one', flush=True); sys.exit('small: pass another -P source=')"
    with pytest.raises(UserError, match="^small: pass another -P source=$"):
        run_step(step(program), [])
    assert capsys.readouterr().out == "one\n"


def test_what_another_program_still_writes_is_not_waited_for(step):
    program = "import subprocess\nsubprocess.Popen(['sleep', '60'])\nprint('run_id=5f', flush=True)"
    began = time.monotonic()
    assert run_step(step(program), []) == "5f"
    assert time.monotonic() - began < 30


def test_an_interrupted_cell_interrupts_the_step_once_and_waits_for_its_end(step, capsys):
    program = (
        "import time\n"
        "try:\n    print('begun', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(1); print('small: stopped; resume with: …')"
    )
    name = step(program)
    main = threading.main_thread().ident

    def interrupt():
        deadline = time.monotonic() + 30
        while "begun" not in shown and time.monotonic() < deadline:
            shown.append(capsys.readouterr().out.strip())
            time.sleep(0.1)
        signal.pthread_kill(main, signal.SIGINT)

    shown: list[str] = []
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_step(name, [])
    assert capsys.readouterr().out == "small: stopped; resume with: …\n"


def test_a_step_that_takes_no_end_is_killed_after_a_second_interrupt(step, capsys, monkeypatch):
    monkeypatch.setattr(process, "GRACE_SECONDS", 1)
    program = (
        "import os, signal, time\n"
        "for one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, signal.SIG_IGN)\n"
        "print('pid', os.getpid(), flush=True); time.sleep(60)"
    )
    name = step(program)
    main = threading.main_thread().ident
    shown: list[str] = []

    def interrupt_twice():
        deadline = time.monotonic() + 30
        while "pid" not in "".join(shown) and time.monotonic() < deadline:
            shown.append(capsys.readouterr().out)
            time.sleep(0.1)
        for _ in range(2):
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.5)

    threading.Thread(target=interrupt_twice).start()
    with pytest.raises(KeyboardInterrupt):
        run_step(name, [])
    with pytest.raises(ProcessLookupError):
        os.kill(int("".join(shown).split()[1]), 0)

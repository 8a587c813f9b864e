"""What importing the package does to the programs of others."""

import os
import subprocess
import sys

from steps.settings.profile import PROJECT


def test_a_program_that_imports_the_package_keeps_its_garbage_collector(tmp_path):
    (tmp_path / "company").mkdir()
    (tmp_path / "company" / "__init__.py").write_text("import steps")
    (tmp_path / "company" / "job.py").write_text("import gc; print(gc.isenabled())")
    done = subprocess.run(
        [sys.executable, "-m", "company.job"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr

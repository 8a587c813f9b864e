"""Run a step as a task on Databricks: ``databricks_task.py PROJECT STEP [--PARAMETER VALUE]…``.

A script of ``steps/`` cannot be the task itself: Python would import its neighbours by their short
names, such as ``inspect``, in place of its own modules.
"""

import os
import runpy
import sys

project, step, *parameters = sys.argv[1:]
os.chdir(project)
sys.path[:1] = [project]  # in place of the folder of this script
sys.argv = [step, "--profile", "databricks", *parameters]
runpy.run_module(f"steps.{step}", run_name="__main__", alter_sys=True)

"""Runs in the system with the virtual camera: the agent itself, for a few looks."""

import sys
from pathlib import Path

import virtual_picamera2  # noqa: F401

from edge.agent.agent import Agent
from edge.agent.settings import Settings

agent = Agent(Settings.read(Path("agent.toml")))
for _ in range(int(sys.argv[1])):
    agent.parts.watcher.take_frame()
agent.parts.watcher.close()
while agent.sender.work():
    pass
agent.parts.store.close()
state = agent.parts.watcher.state
problems = [state.failure, agent.sender.failure, *map(str, state.recent_errors)]
sys.exit("; ".join(filter(None, problems)) or None)

"""Runs in the system with the virtual camera: the agent itself, for a few looks."""

import sys
from pathlib import Path

import virtual_picamera2  # noqa: F401

from edge.agent.agent import Agent
from edge.agent.settings import Settings

agent = Agent(Settings.read(Path("agent.toml")))
for _ in range(int(sys.argv[1])):
    agent.parts.watcher.look()
agent.parts.watcher.close()
while agent.sender.work():
    pass
agent.parts.store.close()
seen = agent.parts.watcher.seen
problems = [seen.failure, agent.sender.failure, *map(str, seen.troubles)]
sys.exit("; ".join(filter(None, problems)) or None)

"""The process that runs on the device for months: ``python -m edge run --config agent.toml``.

- ``agent``: the loop, and a thread for each network; ``parts``: what the loop ties together
- ``watcher``: takes a frame, has it scored and keeps it if ``motion`` or ``selection`` says so
- ``model``, ``follower``: the model in use, and the polls for a newer one; ``frame_marker``: which
  frame it scores, should that end the process
- ``status``, ``machine``, ``watchdog``: whether the device is healthy, and who notices if not
- ``clock``: the time, and whether the clock was set
- ``settings``: what the TOML file says
"""

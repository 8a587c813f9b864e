"""What runs on the device for months: ``python -m edge run --config agent.toml``.

- ``agent``: the loop, and a thread for each network; ``parts``: what it joins
- ``watcher``: one look: frame, score, keep or not; ``motion`` and ``selection`` say which
- ``model``, ``follower``: the model in use, and how a newer one is noticed
- ``store``: SQLite and a folder; in it the ``queue`` of images and the ``results``
- ``queue_files``, ``stamping``: the images' files; their names and EXIF, at once or later;
  ``reading``: and what of them the disk does not give back
- ``sender``, ``landing``: from there to the landing zone
- ``status``, ``machine``, ``watchdog``: how it is, and who notices when it is not well
- ``clock``, ``timekeeping``: what time it is, who vouches for it, and what to do where nobody does
- ``settings``, ``settings_file``: the TOML file
"""

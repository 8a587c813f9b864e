"""What waits on the device until it is sent to the landing zone.

- ``store``: the one repository, with all SQL in it and in its ``database``, ``image_table`` and
  ``result_table``; ``moment``, ``stamp``, ``result`` and ``reason`` are what it holds
- ``queue``: the images that wait; ``queue_files`` and ``reading``: their files
- ``results``: the predictions that wait
- ``sender``, ``landing``: from there to the landing zone
"""

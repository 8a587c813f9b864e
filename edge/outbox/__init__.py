"""What waits on the device until it is sent to the landing zone.

- ``store``: the ``database``, the folder of image files, and what the device counts
- ``queue``: the images that wait; ``image_table``: their rows; ``queue_files`` and ``reading``:
  their files; ``stamp`` and ``reason``: what is known of each
- ``results``: the predictions that wait, and their rows; ``result``: one of them
- ``erasures``: what was erased in the lake, and is deleted here
- ``moment``: when an image or a prediction was made
- ``sender``, ``landing``: from there to the landing zone, by a ``bounded_call``
"""

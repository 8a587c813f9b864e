"""Files that are there complete or not at all, and the free space for them."""

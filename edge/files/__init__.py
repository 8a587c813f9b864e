"""Files that are there complete or not at all, the free space for them, and files of settings."""

"""A backbone's features of images: networks that are used as they were trained elsewhere."""

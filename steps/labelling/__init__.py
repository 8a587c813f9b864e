"""The page on which people label the images of the lake, and its server, without Spark."""

"""The HTML reports of the steps, one module a step. Nothing here is part of a cache key."""

"""From the landing zone to rows of the Delta tables."""

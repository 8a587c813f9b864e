"""The landing zone: where images arrive, what is new there, and when it is polled."""

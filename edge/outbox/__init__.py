"""What waits on the device until it is sent to the landing zone."""

"""What the device and the pipeline must agree on: names, release statements, signatures."""

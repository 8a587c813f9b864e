"""What a notebook needs besides the steps: their processes, and their runs as it shows them."""

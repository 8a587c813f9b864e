"""Which images train what: selection, split, and the Petastorm cache."""

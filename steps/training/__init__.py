"""From pictures in Delta to a network: split, Petastorm cache, networks, Horovod, search."""

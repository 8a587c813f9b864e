"""The training of a Keras network under Horovod."""

"""TensorFlow, imported where it is used."""

import os


def configure_tensorflow(threads: int):
    """Import TensorFlow, quiet and with so many threads; returns the module."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # a worker that trained before keeps the threads that it started with
        pass
    return tf

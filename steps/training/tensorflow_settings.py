"""TensorFlow, imported where it is used."""

import os


def configure_tensorflow(threads: int, ranks: int = 1):
    """Import TensorFlow, quiet and with so many threads; returns the module.

    Args:
        threads: for the inside of an operation; 0 is one for each core.
        ranks: how many processes train together. Among several, one operation may wait for the
            other ranks' gradients while another augments.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(min(ranks, 2))
    except RuntimeError:
        # a worker that trained before keeps the threads that it started with
        pass
    return tf

"""TensorFlow's settings, which have to be made before its first operation."""

import logging
import os
from typing import Any

from steps.terminal import hide_hints

logger = logging.getLogger(__name__)


def configure_tensorflow(threads: int = 1, operations: int = 0) -> Any:
    """Import TensorFlow without its log lines, set its threads, and return the module.

    A process that has computed with TensorFlow keeps the threads that it started with. That is
    logged, since a sum over other threads may differ in its last digit.

    Args:
        threads: for the inside of an operation: with one, a sum does not depend on the machine.
        operations: how many run at the same time; 0: as many as there are cores.
    """
    hide_hints()
    import keras
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(operations)
        _use_own_gpu(tf)
    except RuntimeError:
        if (kept := tf.config.threading.get_intra_op_parallelism_threads()) != threads:
            logger.warning("TensorFlow keeps its %d threads: it runs here already", kept)
    # whatever a keras.json in the home folder says
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    return tf


def _use_own_gpu(tf: Any) -> None:
    """Use one GPU, each rank of this machine another one, and no more of its memory than needed.

    Trials of a search, and more ranks than GPUs, share one.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        own = gpus[int(os.environ.get("HOROVOD_LOCAL_RANK", "0")) % len(gpus)]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)

"""A process that prepares its environment, then starts Spark and ranks as the steps do."""

import json
import os
import socket
import sys
import urllib.request

from steps.environment import prepare_environment, ranks_inherit
from steps.lake.session import spark_session
from steps.settings.profile import load_profile
from steps.training.launcher import end_ranks_on_signal
from steps.training.ranks import horovod_obstacle


def rank(address: str) -> dict[str, object]:
    """What a rank of a training finds."""
    import horovod.tensorflow as hvd

    from steps.training.tensorflow_settings import configure_tensorflow

    tf = configure_tensorflow(threads=1, operations=2)
    import keras

    hvd.init()
    with open("/proc/self/cmdline", encoding="utf-8") as own:
        command = own.read()
    with open(f"/proc/{os.getppid()}/cmdline", encoding="utf-8") as parent:
        command += parent.read()
    return {
        "sum": float(hvd.allreduce(tf.constant(1.0), op=hvd.Sum)),
        "backend": keras.config.backend(),
        "layout": keras.config.image_data_format(),
        "answer": urllib.request.urlopen(address, timeout=10).read().decode(),
        "secret on a command line": "secret-value" in command,
        "long": len(os.environ.get("LONG_1", "")),
        "polls": os.environ.get("HOROVOD_CYCLE_TIME", ""),
    }


def main(lake: str, address: str) -> None:
    prepare_environment(verbose=False)
    local = load_profile("local")
    config = {"spark.driver.memory": "1g"}
    spark_profile = local.spark.model_copy(update={"master": "local[1]", "config": config})
    with spark_session(local.model_copy(update={"spark": spark_profile}), "probe") as spark:
        spark.range(10).write.format("delta").save(f"{lake}/table")
        rows = spark.read.format("delta").load(f"{lake}/table")
        doubled = rows.rdd.map(lambda row: 2 * row.id).sum()
    import horovod

    # Gloo crashes where the name does not resolve, so that the training is not started by Horovod
    assert "echo '127.0.1.1 nowhere.invalid' >> /etc/hosts" in str(horovod_obstacle())
    socket.sethostname("localhost")
    with ranks_inherit(), end_ranks_on_signal():
        ranks = horovod.run(rank, (address,), num_proc=2, use_gloo=True)
    print(json.dumps({"doubled": doubled, "ranks": ranks}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The servers of a cluster, on this machine's loopback or on hosts that it plays.

PostgreSQL, an S3-compatible store, MLflow over both with users of its own, and a Spark master
with workers of one core. `python tests/cluster/services.py` keeps them up until Ctrl-C.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyspark
import requests
from places import HERE, Place
from postgresql import postgresql
from processes import free_port, shown_logs, start, stop, wait_for

PROJECT = Path(__file__).resolve().parents[2]
SERVERS = PROJECT / ".venv-cluster" / "bin"
SPARK_HOME = Path(pyspark.__file__).parent
WORKERS = 2
BUCKETS = ("vision", "mlflow")


@dataclass(frozen=True)
class User:
    """A user of the MLflow server."""

    name: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def login(self) -> tuple[str, str]:
        return self.name, self.password


@dataclass
class Cluster:
    """What runs where.

    Attributes:
        home: the servers' folder, with their logs.
        tracking_uri: of MLflow's server.
        s3: address of the object store.
        spark_master: of Spark.
        admin: of MLflow's server; may do everything.
        trainer: runs the pipeline, owns what it makes.
        camera: may do nothing until a right is given.
        places: where the servers run, by name; those without one run here.
    """

    home: Path
    tracking_uri: str
    s3: str
    spark_master: str
    admin: User
    trainer: User
    camera: User
    places: Mapping[str, Place] = field(default_factory=dict)
    workers: list[subprocess.Popen] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What a client of the cluster has to have set."""
        return s3_environment(self.s3) | {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_TRACKING_USERNAME": self.trainer.name,
            "MLFLOW_TRACKING_PASSWORD": self.trainer.password,
            "SPARK_MASTER": self.spark_master,
            "LAKE": "s3a://vision/lake",
            "CACHE": "s3a://vision/cache",
        }

    def add_worker(self) -> subprocess.Popen:
        """Start one more worker, of one core."""
        number = len(self.workers) + 1
        folder = self.home / f"worker-{number}"
        place = self.places.get(folder.name, HERE)
        place.file(folder).mkdir()
        # somewhere else than the project, and without its code: as on another machine
        command = spark_class("worker.Worker", "--cores", "1", "--memory", "1g")
        command += ["--host", place.address, "--webui-port", str(free_port()), self.spark_master]
        environment = spark_environment(folder, place)
        worker = start(command, self.home / f"worker-{number}.log", environment, place)
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: subprocess.Popen) -> None:
        """End a worker and its executors at once, as where a machine loses its power."""
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def call(self, user: User, path: str, **values: str) -> requests.Response:
        """POST to MLflow's API, below a version of it."""
        url = f"{self.tracking_uri}/api/{path}"
        return requests.post(url, json=values, auth=user.login, timeout=30)


@contextlib.contextmanager
def cluster(home: Path, places: Mapping[str, Place] | None = None) -> Iterator[Cluster]:
    """Start everything below an empty folder; every server is ready inside of the block.

    Args:
        home: the folder; a place has one of its own at the same path.
        places: where the servers run, by name; those without one run here.
    """
    at = dict(places or {})
    store, head, tracking = (at.get(name, HERE) for name in ("store", "master", "mlflow"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(shown_logs(home))

        def run(command: list, name: str, environment: dict[str, str]) -> subprocess.Popen:
            process = start(command, home / f"{name}.log", environment, at.get(name, HERE))
            stack.callback(stop, process)
            return process

        port, s3_port, master_port = free_port(), free_port(), free_port()
        s3 = f"http://{store.address}:{s3_port}"
        moto = [SERVERS / "moto_server", "-H", store.address, "-p", str(s3_port)]
        run(moto, "store", {})
        master = spark_class("master.Master", "--host", head.address, "--port", str(master_port))
        master += ["--webui-port", str(free_port())]
        run(master, "master", spark_environment(home, head))
        database = stack.enter_context(postgresql(home, tracking))
        made = Cluster(
            home, f"http://{tracking.address}:{port}", s3, f"spark://{head.address}:{master_port}",
            User("admin"), User("trainer"), User("camera"), at,
        )  # fmt: skip
        wait_for("the object store", lambda: requests.get(f"{s3}/moto-api/data.json", timeout=2).ok)
        for bucket in BUCKETS:
            requests.put(f"{s3}/{bucket}", timeout=10).raise_for_status()
        server = mlflow_server(home, port, database, made.admin, tracking)
        mlflow = run(server, "mlflow", mlflow_environment(home, s3))
        for _ in range(WORKERS):
            made.add_worker()
        stack.callback(lambda: [stop(worker) for worker in made.workers])
        wait_for(
            "MLflow", lambda: requests.get(f"{made.tracking_uri}/health", timeout=2).ok, mlflow
        )
        for user in (made.trainer, made.camera):
            given = {"username": user.name, "password": user.password}
            made.call(made.admin, "2.0/mlflow/users/create", **given).raise_for_status()
        yield made


def mlflow_server(home: Path, port: int, database: str, admin: User, place: Place) -> list:
    """The command of MLflow's server, with users, and artifacts through its own hands."""
    place.file(home / "users.ini").write_text(
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = {database}/users\n"
        f"admin_username = {admin.name}\nadmin_password = {admin.password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    return [
        *(SERVERS / "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
        *("--host", place.address, "--port", str(port)),
        *("--allowed-hosts", f"{place.name}:*,{place.address}:*"),
        *("--backend-store-uri", f"{database}/mlflow"),
        *("--serve-artifacts", "--artifacts-destination", "s3://mlflow/artifacts"),
    ]


def mlflow_environment(home: Path, s3: str) -> dict[str, str]:
    return s3_environment(s3) | {
        "MLFLOW_AUTH_CONFIG_PATH": str(home / "users.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        "MLFLOW_S3_ENDPOINT_URL": s3,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def s3_environment(s3: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "vision",
        "AWS_SECRET_ACCESS_KEY": "not so secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def spark_class(name: str, *arguments: str) -> list:
    return [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments]


def spark_environment(folder: Path, place: Place) -> dict[str, str]:
    return {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": place.address,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "SPARK_WORKER_DIR": str(folder),
        "PYTHONPATH": "",
    }


def main() -> None:
    """Keep a cluster up until Ctrl-C, and say how to use it."""
    home = Path(tempfile.mkdtemp(prefix="cluster-"))
    home.chmod(0o755)  # PostgreSQL's user has to get at its own folder
    try:
        with cluster(home) as running:
            for name, value in running.environment().items():
                print(f"export {name}={shlex.quote(value)}")
            print(f"# logs: {home}; ends with Ctrl-C", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()

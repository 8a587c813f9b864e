"""Archives the classes that Spark loads while it ingests, for later sessions to start sooner.

python -m steps.ingestion.rehearsal
"""

import logging
import tempfile
from pathlib import Path

from PIL import Image

from steps.environment import prepare_environment
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.lake.class_archive import FOLDER, QUIET, keep_archive
from steps.lake.session import spark_session
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.settings.profile import Profile, load_profile
from steps.terminal import filtered_stderr


def make_archive() -> None:
    """Make the archive, in place of those for other jars."""
    print("archiving Spark's classes, once: about 20 seconds", flush=True)  # noqa: T201  for make
    FOLDER.mkdir(exist_ok=True)
    profile = load_profile("local")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        made = Path(folder, "made.jsa")
        # the JVM writes it when it ends, which the session waits for
        options = f'"-XX:ArchiveClassesAtExit={made}" {QUIET}'
        config = profile.spark.config | {"spark.driver.extraJavaOptions": options}
        places = {"lake": f"{folder}/lake", "cache": f"{folder}/cache"}
        spark = profile.spark.model_copy(update={"config": config})
        _rehearse(profile.model_copy(update=places | {"spark": spark}), Path(folder, "zone"))
        if made.is_file():  # else this Java makes none
            keep_archive(made)


def _rehearse(profile: Profile, zone: Path) -> None:
    """Ingest an image, and a file that is none."""
    zone.mkdir()
    Image.new("RGB", (16, 16)).save(zone / "image.png")
    (zone / "none.png").write_bytes(b"none")
    landed = list_landing_zone(str(zone))
    rules = Rules(landed.source, profile.file_name)
    with spark_session(profile, "rehearsal") as spark:
        ingest_files(lambda: spark, profile, landed.files, rules, Limits(10, 10**9))


if __name__ == "__main__":
    prepare_environment(verbose=False)
    logging.disable()  # of the file that is no image
    with filtered_stderr():
        make_archive()

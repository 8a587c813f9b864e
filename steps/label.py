"""Label: a page in the browser on which the images of the lake get their labels."""

import getpass
import logging
import socket
from collections import Counter

from pydantic import Field

from steps.ingestion import landing
from steps.ingestion.class_names import parse_class_names, set_class_names
from steps.ingestion.follow_labels import merge_classes
from steps.ingestion.label_export import export_labels, read_labels
from steps.ingestion.label_rows import add_labels
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.server import Server
from steps.labelling.sitting import Sitting
from steps.lake.session import spark_session
from steps.pipeline.outputs import LabelOutputs
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Open a page on which you label the images of a landing zone that were ingested.

    It ends with Ctrl-C here or with Done there. The labels then go into the table `labels`."""

    source: str = Field("data/landing", description="folder or URI whose images are labelled")
    labeller: str = Field("", description="your name beside each label; empty: the user's name")
    names: str = Field(
        "", description="names for people, such as '0=no package,1=package'; opens no page"
    )
    merge: str = Field(
        "", description="as in 'boot=boots': what is labelled boot becomes boots; opens no page"
    )
    export: str = Field(
        "", description=".csv or .json (Label Studio) file for all images; opens no page"
    )
    port: int = Field(8090, ge=0, le=65535, description="of the page; 0: any free one")


def label(run: StepRun, parameters: Parameters) -> LabelOutputs:
    """Serve the page until it is done, then write the labels as one version of `labels`."""
    profile, source = run.profile, landing.normalize(parameters.source)
    labeller = parameters.labeller.strip() or getpass.getuser()
    journal = Journal(journal_folder(profile))
    try:
        if journal.rows:
            logger.info("%d labels of a sitting that was interrupted:", len(journal.rows))
            commit(profile, journal)
        if parameters.names or parameters.merge or parameters.export:
            return _without_page(profile, source, labeller, parameters)
        sitting = Sitting(profile, source, journal, labeller)
        _serve(sitting, parameters.port)
        added = commit(profile, journal)
        counts = sitting.summary()
    finally:
        journal.close()
    left = counts["unlabelled"]
    run.report.next_command = run.commands.next("main", source=parameters.source)
    logger.info("train with the labels: %s", run.report.next_command)
    return LabelOutputs(
        line=f"{added} labels of {labeller} added; {left} of {counts['images']} images have none",
        added=added,
        labels={one["label"]: one["count"] for one in counts["classes"]},
        unlabelled=left,
    )


def _without_page(
    profile: Profile, source: str, labeller: str, parameters: Parameters
) -> LabelOutputs:
    """Name labels, merge one into another, and export all, as far as it is asked for."""
    done, added = [], 0
    if parameters.names or parameters.merge:
        names = parse_class_names(parameters.names) if parameters.names else {}
        label, _, into = parameters.merge.partition("=")
        with spark_session(profile, "label") as spark:
            if names:
                set_class_names(spark, profile, names)
                done.append(f"{len(names)} labels named")
            if parameters.merge:
                added = merge_classes(spark, profile, source, label, into, labeller)
                done.append(f"{added} images are labelled {into} instead of {label}")
    images = read_labels(profile, source)
    if parameters.export:
        export_labels(images, source, parameters.export)
        done.append(f"{len(images)} images written to {parameters.export}")
    counts = Counter(image["label"] for image in images)
    unlabelled = counts.pop(None, 0)
    return LabelOutputs(line="; ".join(done), added=added, labels=counts, unlabelled=unlabelled)


def _serve(sitting: Sitting, port: int) -> None:
    """Serve the page until it says that it is done, or until Ctrl-C."""
    server = Server(sitting, port)
    sitting.features.start()
    logger.info("label the images at  %s", server.address)
    host = socket.gethostname()
    logger.info("from another machine: ssh -L %d:127.0.0.1:%d %s", server.port, server.port, host)
    logger.info("and open that address there; Ctrl-C here, or Done on the page, ends it")
    try:
        server.over.wait()
    except KeyboardInterrupt:
        logger.info("ending …")
    finally:
        sitting.features.stop()
        server.stop()


def commit(profile: Profile, journal: Journal) -> int:
    """Write the rows of the journal as one version of `labels`; return how many were new."""
    if not journal.rows:
        return 0
    labellers = ", ".join(sorted({row.labeller for row in journal.rows}))
    images = len({row.sha256 for row in journal.rows})
    message = f"{images} images labelled by {labellers}"
    with spark_session(profile, "label") as spark:
        added = add_labels(spark, profile, journal.rows, message)
    journal.clear()
    return added


STEP = Step.of(label, settings=("lake",))

if __name__ == "__main__":
    STEP.main()

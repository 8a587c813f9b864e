"""Label: a page in the browser on which the images of the lake get their labels."""

import getpass
import logging
import socket
from collections import Counter

from pydantic import Field

from steps.ingestion.class_names import parse_class_names
from steps.ingestion.label_export import export_labels, read_labels
from steps.labelling.commits import Commits
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.server import Server
from steps.labelling.sitting import Sitting
from steps.lake.session import SharedSession
from steps.landing.place import normalize
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
    host: str = Field(
        "127.0.0.1", description="address of this machine; any but the loopback is served by TLS"
    )
    port: int = Field(8090, ge=0, le=65535, description="of the page; 0: any free one")


def label(run: StepRun, parameters: Parameters) -> LabelOutputs:
    """Serve the page until it is done, then write the labels as one version of `labels`."""
    profile, source = run.profile, normalize(parameters.source)
    labeller = parameters.labeller.strip() or getpass.getuser()
    run.report.next_command = run.commands.next("main", source=parameters.source)
    journal = Journal(journal_folder(profile))
    try:
        if journal.rows:
            logger.info("%d labels of a sitting that was interrupted:", len(journal.rows))
            Commits(profile, journal).finish()
        if parameters.names or parameters.merge or parameters.export:
            with SharedSession():
                commits = Commits(profile, journal)
                return _without_page(commits, profile, source, labeller, parameters)
        sitting = Sitting(profile, source, journal, labeller)
        server = Server(sitting, parameters.port, parameters.host, run.report.next_command)
        _serve(sitting, server)
        added = server.commits.finish()
        counts = sitting.summary()
    finally:
        journal.close()
    left = counts["unlabelled"]
    logger.info("train with the labels: %s", run.report.next_command)
    return LabelOutputs(
        line=f"{added} labels of {labeller} added; {left} of {counts['images']} images have none",
        added=added,
        labels={one["label"]: one["count"] for one in counts["classes"]},
        unlabelled=left,
    )


def _without_page(
    commits: Commits, profile: Profile, source: str, labeller: str, parameters: Parameters
) -> LabelOutputs:
    """Name labels, merge one into another, and export all, as far as it is asked for."""
    done, added = [], 0
    if parameters.names:
        names = parse_class_names(parameters.names)
        commits.names(names)
        done.append(f"{len(names)} labels named")
    if parameters.merge:
        label, _, into = parameters.merge.partition("=")
        added = commits.merge(source, label, into, labeller)
        done.append(f"{added} images are labelled {into} instead of {label}")
    images = read_labels(profile, source)
    if parameters.export:
        export_labels(images, source, parameters.export)
        done.append(f"{len(images)} images written to {parameters.export}")
    counts = Counter(image["label"] for image in images)
    unlabelled = counts.pop(None, 0)
    return LabelOutputs(line="; ".join(done), added=added, labels=counts, unlabelled=unlabelled)


def _serve(sitting: Sitting, server: Server) -> None:
    """Serve the page until it says that it is done, or until Ctrl-C."""
    sitting.features.start()
    logger.info("label the images at  %s", server.address)
    if server.fingerprint:
        logger.info("its certificate is its own; compare, and accept it: SHA-256 fingerprint")
        logger.info("%s", server.fingerprint)
    else:
        port, host = server.port, socket.gethostname()
        logger.info("from another machine: ssh -L %d:127.0.0.1:%d %s", port, port, host)
    logger.info("and open that address there; Ctrl-C here, or Done on the page, ends it")
    try:
        server.over.wait()
    except KeyboardInterrupt:
        logger.info("ending …")
    finally:
        sitting.features.stop()
        server.stop()
        if farewell := server.training.farewell():
            logger.warning(farewell)


STEP = Step.of(label, settings=("lake",))

if __name__ == "__main__":
    STEP.main()

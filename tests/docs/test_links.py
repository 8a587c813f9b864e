"""Links between docs lead somewhere, and the files that docs and comments name exist."""

import re
from pathlib import Path

from doc_lines import (
    DOCS,
    MADE_BY_THE_READER,
    SCRIPTS,
    TOP,
    Line,
    docs,
    everything,
    lines_of,
    report,
)

ROOMS = ("steps", "edge", "docs", "profiles", "tests", "setup", "benchmarks", ".ci")


def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def test_every_link_leads_to_a_file_and_a_heading():
    problems, found = [], 0
    for place, text in docs():
        page = TOP / place.partition(":")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http://", "https://")):
                continue
            found += 1
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            if not path.exists():
                problems.append(f"{place}: there is no {target}")
            elif anchor and anchor not in _anchors(path):
                problems.append(f"{place}: {name or 'the page'} has no heading #{anchor}")
    assert found > 30
    report(problems)


def test_every_page_can_be_reached_from_the_readme():
    named = re.findall(r"\]\(([^)\s#]+)", (TOP / "README.md").read_text())
    pages = {path.relative_to(TOP).as_posix() for path in DOCS} - {"README.md"}
    report([f"README.md: no link to {page}" for page in sorted(pages - set(named))])


def test_every_path_in_backticks_exists():
    problems, found = [], 0
    names = {path.name for room in ROOMS for path in (TOP / room).rglob("*") if path.is_file()}
    for place, text in docs():
        for word in re.findall(r"`([\w./-]+)`", text):
            if word in MADE_BY_THE_READER:
                continue
            if word.startswith(tuple(f"{room}/" for room in ROOMS)):
                found += 1
                if not (TOP / word).exists():
                    problems.append(f"{place}: there is no {word}")
            elif re.fullmatch(r"[\w-]+\.(py|sh|j2)", word) and word not in names:
                problems.append(f"{place}: no file is named {word}")
    assert found > 20
    report(problems)


def test_every_page_of_docs_that_code_and_comments_name_exists():
    comments = [
        Line(line.place, line.text)
        for path in (*SCRIPTS, *(TOP / "steps").rglob("*.py"), *(TOP / "edge").rglob("*.py"))
        for line in lines_of(path, path.read_text(encoding="utf-8"))
    ]
    named = {
        (line.place, page)
        for line in [*everything(), *comments]
        for page in re.findall(r"\bdocs/[\w-]+\.(?:md|py|png|jpg)", line.text)
    }
    assert len(named) > 5
    report([f"{place}: there is no {page}" for place, page in named if not (TOP / page).exists()])

"""The notebooks are kept without outputs, and the page that shows them run is theirs."""

import json

import pytest
from doc_lines import TOP

NOTEBOOKS = sorted((TOP / "notebooks").glob("*.ipynb"))
PAGE = (TOP / "docs/notebooks.md").read_text(encoding="utf-8")


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_one_cell_of_parameters(path):
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]
    assert [cell["metadata"] for cell in code].count({"tags": ["parameters"]}) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_shows_each_cell(path):
    """Else run `make notebooks`."""
    for cell in cells(path):
        text = "".join(cell["source"])
        shown = text.replace("](../docs/", "](") if cell["cell_type"] == "markdown" else text
        assert shown in PAGE


def test_the_page_names_no_folder_of_this_machine_and_its_images_are_small():
    assert len(NOTEBOOKS) == 4 and str(TOP) not in PAGE
    images = list((TOP / "docs/notebooks").iterdir())
    assert {f"](notebooks/{image.name})" in PAGE for image in images} == {True}
    assert sum(image.stat().st_size for image in images) < 1e6

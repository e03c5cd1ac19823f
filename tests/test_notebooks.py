"""The notebooks run, and print what they were saved with."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def runner():
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(notebook):
    """What each cell printed, in order; of a picture only that there is one."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = dict(output.get("data", {}))
            if "image/png" in data:
                assert cell.metadata.mlbench.alt
                data["image/png"] = "a picture"
            found.append((output.output_type, output.get("name"), output.get("text"), data))
    return found


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["first-evaluation", "language-bias"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_was_saved_with(path, tmp_path):
    saved = nbformat.read(path, as_version=4)
    nbformat.validate(saved)
    again = runner().executed(path, tmp_path)
    assert printed(again) == printed(saved)
    assert len(printed(saved)) >= 5
    assert "stderr" not in [name for _kind, name, _text, _data in printed(saved)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path):
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    targets = re.findall(r"\]\(([^)#:\s]+)", "\n".join(texts))
    assert targets
    assert [target for target in targets if not (path.parent / target).exists()] == []

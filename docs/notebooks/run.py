"""Run the notebooks in this folder, and save them with what they print."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Return the notebook run from its first cell to its last, in ``folder``, in a new kernel."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    patience = {"timeout": 600, "startup_timeout": 600}
    NotebookClient(notebook, coalesce_streams=True, resources=where, **patience).execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


if __name__ == "__main__":
    for found in sorted(Path(__file__).parent.glob("*.ipynb")):
        nbformat.write(executed(found, found.parent), found)

"""Make each notebook's .ipynb anew from its .py: execute every cell at full size and keep the outputs.

``python notebooks/run.py`` does all, ``python notebooks/run.py 02`` those whose name begins so. Edit the .py, or edit either in
Jupyter with jupytext, which keeps the two in step; then run this, so that the outputs are those of the sources.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent


def read(source: Path) -> NotebookNode:
    """Return the notebook of a .py; cells are numbered, so that making it anew changes only what has changed."""
    notebook = jupytext.read(source)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number:02d}"
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    return notebook


def execute(notebook: NotebookNode, *, size: str = "full") -> NotebookNode:
    """Execute the cells in place, in a new kernel of this Python and an empty folder; return the notebook."""
    with tempfile.TemporaryDirectory() as folder:  # nothing may depend on the folder, nor be left in it
        settings = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # the kernel has its own
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(Path(folder) / "kernel")),
            timeout=900,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute(
            env={**settings, "SITEWISE_NOTEBOOK_SIZE": size, "IPYTHONDIR": str(Path(folder) / "ipython")}, cleanup_kc=True
        )
    return notebook


def main(names: list[str]) -> int:
    """Make the notebooks whose names begin with one of ``names``, or all."""
    for source in sorted(FOLDER.glob("[0-9]*.py")):
        if names and not source.name.startswith(tuple(names)):
            continue
        started = time.perf_counter()
        target = source.with_suffix(".ipynb")
        nbformat.write(execute(read(source)), target)
        print(f"{target.name}: {time.perf_counter() - started:.0f} s, {target.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

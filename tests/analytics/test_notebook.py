"""The snippet of docs/analytics.md in a notebook: it shows its picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.analytics.histories import WEEK
from tests.harness import ROOT

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

# What the kernel and its client leave open when they end is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("magic", ["", "%matplotlib inline\n"], ids=["bare", "inline"])
def test_the_snippet_shows_its_picture_once(
    magic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = (ROOT / "docs/analytics.md").read_text("utf-8").partition("## In a notebook")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    (tmp_path / "history.txt").write_bytes(WEEK)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(magic + found[1])])
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs if "image/png" in output.get("data", {})] == [
        "execute_result"
    ]

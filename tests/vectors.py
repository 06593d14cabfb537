"""The vectors of the grammar in vectors.json, for whoever reads records: the server and the client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_SECTIONS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))


def vectors(section: str) -> list[Any]:
    """The vectors of one section, as pytest parameters named after what each is about."""
    return [pytest.param(vector, id=vector["about"]) for vector in _SECTIONS[section]]


def raw(vector: dict[str, str]) -> bytes:
    """The bytes of a vector's line or of its typed text."""
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return (vector["line"] if "line" in vector else vector["typed"]).encode()

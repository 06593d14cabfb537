"""The default path of the history, for the server and for analytics."""

from __future__ import annotations

import os
import sys
from pathlib import Path

INSTALLED_IN = ("site-packages", "dist-packages")  # pip's folder, and Debian's


def default_history() -> Path:
    """`history.txt` beside the programs; if they are installed, in the user's data folder.

    That folder may not exist yet.
    """
    programs = Path(__file__).resolve().parent.parent
    folder = _data_folder() / "tcp-chat" if programs.name in INSTALLED_IN else programs
    return folder / "history.txt"


def _data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    named = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (
        named if named.is_absolute() else Path.home() / ".local" / "share"
    )  # XDG: a relative path is invalid

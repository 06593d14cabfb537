"""Files that hold what is secret: made for their owner alone, and refused where others can read them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO


class Exposed(Exception):
    """Others on this computer can read the file; the message says so and what to do, in one sentence."""


def create(path: Path) -> BinaryIO:
    """Open a new file that nobody else can read, not even for the moment in which it is made.

    Raises FileExistsError where there is one, OSError.
    """
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb"
    )


def write(path: Path, data: bytes) -> None:
    """Put a whole new file where the old one is, on the disk: a crash leaves one or the other.

    It has the mode of the old one, and a symbolic link stays one. Raises OSError.
    """
    path = Path(os.path.realpath(path))
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)  # what a crash left, or somebody put there; never followed
    with create(new) as file:
        if sys.platform != "win32":  # there it has the rights of its folder
            with contextlib.suppress(FileNotFoundError):  # there is no old one
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def check(path: Path) -> None:
    """Return if nobody but its owner reads the file. Raises Exposed, OSError.

    A file that is root's may be for a group, which is how a system shares a key with its servers.
    """
    if sys.platform == "win32":
        return
    status = path.stat()
    forbidden = 0o077 if status.st_uid == os.geteuid() else 0o027
    if status.st_mode & forbidden:
        raise Exposed(f"{path} can be read by others on this computer: chmod go-rwx {path}")

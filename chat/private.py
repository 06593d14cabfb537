"""Files with secrets: created for their owner only, and refused if others can read them."""

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
    """Open a new file that nobody else can read, not even at the moment of its creation.

    Raises FileExistsError if it exists, OSError.
    """
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb"
    )


def write(path: Path, data: bytes) -> None:
    """Replace a file atomically, and sync it: a crash leaves the old one or the new one.

    The new file keeps the mode of the old one, and a symbolic link stays one. Raises OSError.
    """
    path = Path(os.path.realpath(path))
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)  # left by a crash, or put there by somebody; never followed
    with create(new) as file:
        if sys.platform != "win32":  # there it has the rights of its folder
            with contextlib.suppress(FileNotFoundError):  # there is no old one
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def check(path: Path) -> None:
    """Return if only its owner can read the file. Raises Exposed, OSError.

    A file of root may also be readable by its group, as systems share keys with their servers that way.
    """
    if sys.platform == "win32":
        return
    status = path.stat()
    forbidden = 0o077 if status.st_uid == os.geteuid() else 0o027
    if status.st_mode & forbidden:
        raise Exposed(f"{path} can be read by others on this computer: chmod go-rwx {path}")

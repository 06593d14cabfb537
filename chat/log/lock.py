"""One server per history: a lock that the system releases when its holder dies."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # far past the text, which stays readable: Windows' locks keep readers out

    def lock_file(file: IO[str]) -> None:
        os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        os.lseek(file.fileno(), 0, os.SEEK_SET)

else:
    import fcntl

    def lock_file(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Locked(Exception):
    """Another process holds the lock; the message says which."""


class FileLock:
    """Holds a lock on `path` until `release`. The file contains one line that says who holds it.

    Raises Locked if another process has it, OSError if the file can't be created.
    """

    def __init__(self, path: Path, holder: str) -> None:
        self._path = path
        self._file = self._acquire()
        with contextlib.suppress(OSError):  # a full disk; it is locked all the same
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), f"{holder}\n".encode())

    def release(self) -> None:
        """Release the lock, and remove the file if the system permits that."""
        if sys.platform == "win32":  # which deletes no open file: neither this one now, nor the next holder's
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._file.close()

    def _acquire(self) -> IO[str]:
        while True:
            file = self._open()
            try:
                lock_file(file)
            except OSError:
                file.seek(0)
                holder = file.read(200).strip()
                file.close()
                raise Locked(holder or "another server") from None
            if self._is_still(file):
                return file
            file.close()

    def _open(self) -> IO[str]:
        """Open the file, for its owner only: whoever can open it can lock it. Doesn't follow links."""
        if self._path.is_symlink():
            self._path.unlink()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # somebody else's, who has locked it or not
                os.fchmod(fd, 0o600)
        return os.fdopen(fd, "r+", encoding="utf-8")

    def _is_still(self, file: IO[str]) -> bool:
        """Whether the path still leads to the locked file: its previous holder may just have removed it."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

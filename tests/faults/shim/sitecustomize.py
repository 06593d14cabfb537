"""Runs in the server process before anything else, and lets calls to the system fail from outside.

The file that FAULTS_FILE names holds words: an offset of the clock in seconds, and `write`, `sync` or
`thread` for what fails now. It is read at every call, so that what is written there holds at once.
"""

from __future__ import annotations

import _thread
import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

_faults = os.open(os.environ["FAULTS_FILE"], os.O_RDONLY)
_pread, _write, _sync, _time = os.pread, os.write, os.fdatasync, time.time
_start: Callable[..., int] = _thread.start_new_thread


def _words() -> list[bytes]:
    return _pread(_faults, 100, 0).split()


def _failing_write(fd: int, data: Any) -> int:
    if b"write" in _words() and fd > 2:
        _write(fd, bytes(data)[: len(data) // 2])  # as a bad disk does: something got there
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return _write(fd, data)


def _failing_sync(fd: Any) -> None:
    if b"sync" in _words():
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    _sync(fd)


def _failing_start(*arguments: Any, **keywords: Any) -> int:
    if b"thread" in _words():
        raise RuntimeError("can't start new thread")
    return _start(*arguments, **keywords)


def _stepping_time() -> float:
    words = _words()
    return _time() + (float(words[0]) if words else 0)


os.write = _failing_write
os.fdatasync = _failing_sync
threading._start_new_thread = _thread.start_new_thread = _failing_start  # type: ignore[attr-defined]
time.time = _stepping_time

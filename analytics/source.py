"""Where the bytes of a history come from: a file, a pipe or standard input, as they are or compressed.

What is compressed tells so itself by its first bytes, wherever it comes from.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, cast

STANDARD_INPUT = Path("-")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class CannotRead(OSError):
    """What is there can't be read as a history; the message is a sentence."""


def distinct(paths: Sequence[str | Path]) -> list[Path]:
    """The paths, each file once, by whatever paths it was named."""
    found: dict[object, Path] = {}
    for path in map(Path, paths):
        key: object = path
        if path != STANDARD_INPUT:
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                key = (status.st_dev, status.st_ino)
        found.setdefault(key, path)
    return list(found.values())


def size(paths: Sequence[Path]) -> int | None:
    """How many bytes they are together; None where that can't be known before they are read."""
    sizes = [_plain_size(path) for path in paths]
    return None if None in sizes else sum(each for each in sizes if each is not None)


def _plain_size(path: Path) -> int | None:
    if path == STANDARD_INPUT or not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        return None if is_compressed(file.read(4)) else path.stat().st_size


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so is unpacked before it is read."""
    return start.startswith((_GZIP, _ZSTD))


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file to read from, and how many bytes of it there are now (None: until its end).

    Raises OSError, and CannotRead for what can't be unpacked here.
    """
    if path == STANDARD_INPUT:
        with _unpacked(io.BufferedReader(io.FileIO(0, closefd=False))) as file:
            yield file, None
        return
    with path.open("rb") as raw:
        if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode) or is_compressed(raw.peek(4)[:4]):
            with _unpacked(raw) as file:
                yield file, None
        else:
            yield cast(BinaryIO, raw.raw), raw.seek(0, os.SEEK_END)


@contextmanager
def _unpacked(raw: io.BufferedReader) -> Iterator[BinaryIO]:
    start = raw.peek(4)[:4]
    file, damaged = cast(BinaryIO, raw), _NEVER
    if start.startswith(_GZIP):
        file, damaged = cast(BinaryIO, gzip.GzipFile(fileobj=raw)), (EOFError, gzip.BadGzipFile, zlib.error)
    elif start == _ZSTD:
        file, damaged = _zstandard(raw)
    try:
        yield file
    except damaged as error:
        raise CannotRead(f"it is damaged or cut off ({error})") from None


_NEVER: tuple[type[Exception], ...] = ()


def _zstandard(raw: BinaryIO) -> tuple[BinaryIO, tuple[type[Exception], ...]]:
    """Raises ModuleNotFoundError where nothing here can unpack it."""
    if sys.version_info >= (3, 14):
        zstd = import_module("compression.zstd")
        return zstd.ZstdFile(raw), (EOFError, zstd.ZstdError)
    zstandard = import_module("zstandard")
    reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return io.BufferedReader(reader), (EOFError, zstandard.ZstdError)

"""Handing sockets over to another process: with SCM_RIGHTS (unix(7)), and on Windows with socket.share()."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SIZE = struct.Struct("!I")  # before each part of a message


def start(command: Sequence[str], folder: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process in a folder, with one end of a socket pair; returns it and the other end.

    Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            source = subprocess.PIPE if sys.platform == "win32" else theirs.fileno()
            # A group of its own: Ctrl-C is for whoever started it. It ends at the end of its input.
            group = None if sys.platform == "win32" else 0
            process = subprocess.Popen(
                command, stdin=source, stdout=subprocess.DEVNULL, cwd=folder, process_group=group
            )
            if sys.platform == "win32":
                assert process.stdin
                with process.stdin:
                    process.stdin.write(theirs.share(process.pid))
            return process, ours
        except OSError:
            ours.close()
            raise


def inherited() -> socket.socket:
    """The end that `start` gave to this process."""
    if sys.platform != "win32":
        return socket.socket(fileno=os.dup(0))
    return socket.fromshare(sys.stdin.buffer.read())


def send(control: socket.socket, process: int, sockets: Sequence[socket.socket], data: bytes) -> None:
    """Hand sockets over, with some data, to the process with this number. Raises OSError."""
    message = _SIZE.pack(len(data)) + data
    if sys.platform != "win32":
        sent = socket.send_fds(control, [message], [each.fileno() for each in sockets])
        control.sendall(message[sent:])
        return
    shares = [each.share(process) for each in sockets]
    control.sendall(b"".join(_SIZE.pack(len(share)) + share for share in shares) + message)


def receive(control: socket.socket, count: int) -> tuple[list[socket.socket], bytes]:
    """Return `count` sockets, and the data that came with them. Raises EOFError at the end, OSError.

    There are fewer if this process has too many files open.
    """
    if sys.platform != "win32":
        size, files, _, _ = socket.recv_fds(control, _SIZE.size, count)
        sockets = [socket.socket(fileno=file) for file in files]
        return sockets, _exactly(control, *_SIZE.unpack(size + _exactly(control, _SIZE.size - len(size))))
    sockets = [socket.fromshare(_part(control)) for _ in range(count)]
    return sockets, _part(control)


def _part(control: socket.socket) -> bytes:
    return _exactly(control, *_SIZE.unpack(_exactly(control, _SIZE.size)))


def _exactly(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        received = control.recv(size - len(data))
        if not received:
            raise EOFError
        data += received
    return data

"""A Debian of another release in a folder, and programs run in it as if it were a machine beside this one.

Its network is this machine's, so that both talk over 127.0.0.1; the checkout and /tmp are the same in both.
Needs Linux, root, and debootstrap (on Debian and Ubuntu: apt install debootstrap).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT

SYSTEMS = ROOT / ".systems"
MIRROR = "http://deb.debian.org/debian"

# The mounts are seen by the program alone, and end with it.
_RUN = r"""
root=$1 checkout=$2; shift 2
mkdir -p "$root/$checkout" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
mount --bind /tmp "$root/tmp" && mount --bind "$checkout" "$root/$checkout" &&
exec chroot "$root" env -i -C "$checkout" HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 "$@"
"""


def make(name: str, suite: str, *packages: str) -> Path:
    """The folder of the system; where it is missing it is made, in a minute. Ends the program if it can't."""
    folder = SYSTEMS / name
    if folder.exists():
        return folder
    if sys.platform != "linux" or os.geteuid() or not shutil.which("debootstrap"):
        sys.exit("This needs Linux, root, and debootstrap (apt install debootstrap).")
    print(f"== making {folder.relative_to(ROOT)} (Debian {suite})", flush=True)
    SYSTEMS.mkdir(exist_ok=True)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        suite,
        str(unfinished),
        MIRROR,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"debootstrap failed:\n{done.stdout[-2000:]}")
    return unfinished.rename(folder)


def inside(folder: Path, *command: str) -> list[str]:
    """The command that runs another one in the system and in the checkout. Signals reach it: no fork."""
    return ["unshare", "--mount", "sh", "-c", _RUN, "sh", str(folder), str(ROOT), *command]

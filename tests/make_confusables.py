"""Makes chat/confusables.txt, the table of characters that look alike: `python3 -m tests.make_confusables`.

It asks the ICU that is installed (Debian: libicu72) for the skeleton of each character: that is Unicode's
confusables.txt. Characters that normalization replaces are not needed: it is done before.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

TABLE = Path(__file__).parent.parent / "chat" / "confusables.txt"
BUFFER_BYTES = 4096


def main() -> int:
    """Write the table."""
    skeleton, version = icu()
    alike: dict[str, list[str]] = {}
    for character in map(chr, range(0x21, sys.maxunicode + 1)):
        if unicodedata.category(character) in ("Cc", "Cs", "Co"):
            continue
        if any(unicodedata.normalize(form, character) != character for form in ("NFKC", "NFD")):
            continue
        prototype = skeleton(character)
        if prototype not in ("", character):
            alike.setdefault(prototype, []).append(character)
    lines = [f"{_hex(prototype)} <- {_hex(''.join(alike[prototype]))}\n" for prototype in sorted(alike)]
    head = (
        f"# Characters that look alike (UTS 39), from {version}. Made by python3 -m tests.make_confusables\n"
    )
    TABLE.write_text(head + "".join(lines), "ascii")
    print(f"{TABLE}: {sum(map(len, alike.values()))} characters, from {version}")
    return 0


def icu() -> tuple[Callable[[str], str], str]:
    """ICU's function that makes a skeleton, and which version this is. Raises OSError where there is none."""
    library = ctypes.util.find_library("icui18n") or "libicui18n.so"
    spoof, common = ctypes.CDLL(library), ctypes.CDLL(ctypes.util.find_library("icuuc") or "libicuuc.so")
    found = re.search(r"\.so\.(\d+)", library)
    suffix = f"_{found[1]}" if found else ""
    unicode = (ctypes.c_ubyte * 4)()
    getattr(common, f"u_getUnicodeVersion{suffix}")(unicode)
    error = ctypes.c_int(0)
    open_ = getattr(spoof, f"uspoof_open{suffix}")
    open_.restype = ctypes.c_void_p
    checker = ctypes.c_void_p(open_(ctypes.byref(error)))
    get_skeleton = getattr(spoof, f"uspoof_getSkeletonUTF8{suffix}")
    buffer = ctypes.create_string_buffer(BUFFER_BYTES)

    def skeleton(text: str) -> str:
        encoded = text.encode()
        size = get_skeleton(checker, 0, encoded, len(encoded), buffer, BUFFER_BYTES, ctypes.byref(error))
        if error.value > 0:
            raise ValueError(f"ICU's error {error.value} for {text!r}")
        return buffer.raw[:size].decode()

    return skeleton, f"Unicode {unicode[0]}.{unicode[1]} (ICU {suffix.removeprefix('_')})"


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):04X}" for character in text)


if __name__ == "__main__":
    sys.exit(main())

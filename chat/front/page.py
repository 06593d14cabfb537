"""The page: one self-contained file, put together from the parts in `page/` when the server starts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

PARTS = Path(__file__).with_name("page")
# In the order in which they stand in the page: each uses only what is before it.
SCRIPTS = ("record.js", "conversation.js", "view.js", "composer.js", "people.js", "main.js")

_COMMENT = re.compile(r"/\*(?:[^*]|\*(?!/))*\*/|^[ \t]*//.*$|[ \t]+// [^'\"`\n]*$", re.MULTILINE)
_INDENTATION = re.compile(r"^\s+|[ \t]+$", re.MULTILINE)
# Strings, templates and regular expressions, which stay as they are; or what needs no space around it.
_TOKEN = re.compile(
    r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"""
    r"""|/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)| ?([=*<>&|?:,;(){}!]+) ?"""
)
_STYLE_SPACE = re.compile(r"\s*([{};,>])\s*|(:) ")


@dataclass(frozen=True)
class Document:
    """What a GET hands out: the bytes, the same compressed, and the headers that go with them."""

    body: bytes
    zipped: bytes
    etag: str
    headers: dict[str, str]


def document(body: bytes, headers: dict[str, str]) -> Document:
    """A document that is the same for everybody. A browser keeps it, and asks whether it is still the one."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return Document(
        body,
        gzip.compress(body, 9, mtime=0),
        etag,
        {"Cache-Control": "no-cache", "ETag": etag, "Vary": "Accept-Encoding"} | headers,
    )


def page(*, title: str, password: bool) -> Document:
    """The page of a chat with this title; `password`: whether the room asks for one."""
    facts = json.dumps({"title": title, "password": password}).replace("<", "\\u003c")
    style = _STYLE_SPACE.sub(r"\1\2", _COMMENT.sub("", _part("style.css")))
    script = "\n" + _squeeze('"use strict";\n{\n' + "".join(map(_part, SCRIPTS)) + "}\n")
    text = _INDENTATION.sub("", _part("page.html"))
    for place, part in (("/* style.css */", style), ("/* scripts */", script), (">{}<", f">{facts}<")):
        text = text.replace(place, part, 1)
    return document(
        text.encode(),
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "; ".join(
                (
                    "default-src 'none'",
                    f"script-src {_hash(script)}",
                    f"style-src {_hash(style)}",
                    "connect-src 'self'",
                    "img-src data:",
                    "base-uri 'none'",
                    "form-action 'none'",
                    "frame-ancestors 'none'",
                )
            ),
        },
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text("utf-8")


def _squeeze(source: str) -> str:
    """Without comments and spaces that mean nothing: a quarter less to send to each phone."""
    script = _INDENTATION.sub("", _COMMENT.sub("", source)).strip()
    return _TOKEN.sub(lambda found: found[1] or found[2], script)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

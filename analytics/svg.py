"""matplotlib's SVG for a page: in the page's colours, with ids of its own, and words for who can't see it.

It is changed as XML, element by element: a name that looks like a colour or an id stays a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from markupsafe import Markup

_NAMESPACE = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# What XML can't hold, not even escaped: matplotlib writes a name's control characters as they are.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def in_page(svg: str, name: str, label: str, colours: Mapping[str, str]) -> Markup:
    """The picture as an element of a page; `colours` are the page's, by name, as they were drawn."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(_NOT_XML.sub("\ufffd", svg[svg.index("<svg") :]))
    for element in root.iter():
        for attribute, value in list(element.attrib.items()):
            if attribute == "id":
                value = f"{name}-{value}"
            elif attribute in (_LINK, "href"):
                del element.attrib[attribute]
                attribute, value = "href", value.replace("#", f"#{name}-", 1)
            elif attribute in ("style", "fill", "stroke", "clip-path"):
                value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
                for colour, hexadecimal in colours.items():
                    value = value.replace(hexadecimal, f"var(--{colour})")
            element.set(attribute, value)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-label": label}
    for useless in root.findall(f"{{{_NAMESPACE}}}metadata"):
        root.remove(useless)
    return Markup(ElementTree.tostring(root, encoding="unicode"))

"""The page as a document: one file, small, and nothing in it that its policy does not name."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re

from chat.front.page import PARTS, SCRIPTS, page

PAGE_BYTES = 60_000


def test_it_is_one_small_file_with_nothing_from_elsewhere() -> None:
    found = page(title="Workshop", password=False)
    assert len(found.body) < PAGE_BYTES
    assert gzip.decompress(found.zipped) == found.body
    addresses = re.findall(rb"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", found.body)
    assert all(address.startswith(b"data:") for address in addresses if b"match" not in address), addresses


def test_the_policy_names_each_script_and_style_by_its_hash() -> None:
    found = page(title="Workshop", password=False)
    policy = found.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), found.body, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    # Nothing else can run or be shown: no handler and no style in an attribute.
    assert not re.search(rb"<[^>]+\s(?:on\w+|style)=", found.body)


def test_every_script_is_in_it() -> None:
    assert sorted(SCRIPTS) == sorted(path.name for path in PARTS.glob("*.js"))
    body = page(title="Workshop", password=False).body
    assert b"class Conversation" in body
    assert b"/* scripts */" not in body


def test_what_differs_from_host_to_host_is_data() -> None:
    title = '</script><script>alert("x")//'
    one, other = page(title=title, password=True), page(title="Workshop", password=False)
    facts = re.search(rb'<script type="application/json" id="chat">(.*?)</script>', one.body)
    assert facts
    assert json.loads(facts.group(1)) == {"title": title, "password": True}
    policies = {found.headers["Content-Security-Policy"] for found in (one, other)}
    assert len(policies) == 1
    assert one.etag != other.etag

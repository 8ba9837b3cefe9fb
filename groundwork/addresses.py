"""Addresses (URLs) without what is secret in them: user, password, and the values of the query."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

_URL = re.compile(r"[A-Za-z][\w+.-]{0,40}://[^\s'\"<>]+")
HIDDEN = "***"


def url_secrets(url: str | None) -> list[str]:
    """What of an address must not be shown, as written and decoded; the longest first.

    Characters that should have been escaped (``@`` or ``?`` in a password) make the address ambiguous:
    everything that may be a secret counts.
    """
    if not url or "://" not in url:
        return []
    rest = url.partition("://")[2]
    found = set()
    for at in (m.start() for m in re.finditer("@", rest)):
        account = rest[:at]
        found |= {account, account.partition(":")[2]}
    for mark in (m.start() for m in re.finditer(r"\?", rest)):
        query = rest[mark + 1 :]
        found |= {query, *(pair.partition("=")[2] for pair in re.split("[&;#]", query))}
    # what a driver takes apart at unescaped characters, it shows in parts
    found |= {piece for part in found for piece in re.split("[@:/?#&=;%]", part) if len(piece) > 4}
    found |= {unquote_plus(part) for part in found}
    return sorted((part for part in found if len(part) > 2), key=len, reverse=True)


def public_address(url: str) -> str:
    """The address with ``***`` for user and password and for the query; one without them as it is.
    A database's user stays.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not re.search("[@?]", rest):
        return url
    head, query, _ = rest.partition("?")
    if "@" in head and "@" not in rest[len(head) :]:
        account, _, host = head.rpartition("@")
        user, colon, password = account.partition(":")
        known = colon and password and not scheme.startswith("http")
        place = f"{user if known else HIDDEN}@{host}"
    elif "@" in rest:  # a "?" in a password, or an "@" in the query: nobody can tell
        return f"{scheme}://{HIDDEN}"
    else:
        place = head
    return f"{scheme}://{place}" + (f"?{HIDDEN}" if query else "")


def without_secrets(text: str) -> str:
    """The text with every address in it as ``public_address`` shows it."""
    return _URL.sub(lambda found: public_address(found.group()), text) if "://" in text else text


def without_secrets_in(value: Any) -> Any:
    """A JSON-able value with every text in it as ``without_secrets`` makes it."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {without_secrets_in(k): without_secrets_in(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets_in(inner) for inner in value]
    return value


def scrubbed(text: str, url: str | None) -> str:
    """The text without the secrets of one address, wherever they stand in it."""
    for secret in url_secrets(url):
        text = text.replace(secret, HIDDEN)
    return without_secrets(text)

"""Addresses are shown without user, password and query, whatever is unescaped in them."""

from __future__ import annotations

import pytest

from groundwork.addresses import (
    public_address,
    scrubbed,
    url_secrets,
    without_secrets,
    without_secrets_in,
)

SECRET = "Pl4nted"
ADDRESSES = [
    f"https://host:8000/v1?api-key={SECRET}",
    f"https://host/v1?a=b&code={SECRET}%2F1",
    f"https://me:{SECRET}@host/v1",
    f"https://{SECRET}@host/v1?x={SECRET}",
    f"postgresql://me:{SECRET}@host:5432/db",
    f"postgresql://me:p@ss/{SECRET}@host/db",
    f"postgresql://me:p?{SECRET}@host/db",
    f"postgresql://me:{SECRET}#x@host/db?sslmode=require",
    f"postgresql://host/db?user=me&password={SECRET}",
    f"postgresql://host/db?password=a@{SECRET}",
    f"postgresql+psycopg://me@host/db?password={SECRET}@",
    f"mysql://me:{SECRET}@[::1]:3306/db",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_no_part_of_a_secret_is_shown(url: str) -> None:
    assert SECRET not in public_address(url)
    assert SECRET not in without_secrets(f"can't reach {url!r} now")
    assert SECRET not in scrubbed(f"connection of {SECRET} failed", url)
    assert any(SECRET in secret for secret in url_secrets(url))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "https://api.openai.com/v1", "runs/history.sqlite", "sqlite:///x"],
)
def test_an_address_without_secrets_stays(url: str) -> None:
    assert public_address(url) == url
    assert without_secrets(f"at {url}, {{}}") == f"at {url}, {{}}"
    assert url_secrets(url) == []


def test_the_host_stays_where_it_is_known() -> None:
    assert public_address("https://me:x@host:1/v1?k=abc") == "https://***@host:1/v1?***"
    assert public_address("postgresql://me:x@host:1/db") == "postgresql://me@host:1/db"


def test_values_of_all_depths() -> None:
    config = {"judge": {"urls": [ADDRESSES[0]], "n": 1, "off": None}}
    assert SECRET not in str(without_secrets_in(config))
    assert without_secrets_in(config)["judge"]["n"] == 1

"""Where the judge's key comes from, with a real keyring in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from judges import JudgeError
from judges.credentials import NO_KEY, OFFICIAL_URL, VARIABLES, find_key

keyring = pytest.importorskip("keyring", reason="the keyring extra is not installed")
OWN_URL = "http://127.0.0.1:8000/v1"


def memory() -> object:
    """A back end that holds one key, and is locked for one address."""
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            if "locked" in username:
                raise KeyringLocked("no prompt here")
            if "broken" in username:
                raise ZeroDivisionError
            return {("sso-bench", OFFICIAL_URL): " from-keyring\n"}.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    return Memory()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(memory())
    yield
    keyring.set_keyring(before)


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key(None) == "from-keyring"
    monkeypatch.setenv("OPENAI_API_KEY", " general ")
    assert find_key(None) == "general"
    monkeypatch.setenv("SSO_BENCH_JUDGE_API_KEY", "judge's")
    assert find_key(None) == find_key(OWN_URL) == "judge's"


def test_a_keys_address_is_part_of_its_name() -> None:
    assert find_key(OFFICIAL_URL) == "from-keyring"
    assert find_key(OWN_URL) == NO_KEY, "OpenAI's key is not sent elsewhere"


def test_a_locked_keyring_gives_no_key_and_a_defect_is_not_hidden() -> None:
    assert find_key("http://locked/v1") == NO_KEY
    with pytest.raises(ZeroDivisionError):
        find_key("http://broken/v1")


def test_without_any_key_openai_is_not_asked() -> None:
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    with pytest.raises(JudgeError, match=r"set OPENAI_API_KEY .*service 'sso-bench'"):
        find_key(None)
    assert find_key(OWN_URL) == NO_KEY

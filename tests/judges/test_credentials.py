"""Where the judge's key comes from, with a real keyring in memory, and that it is shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judges import JudgeError, JudgeSettings, open_judge
from judges.credentials import NO_KEY, OFFICIAL_URL, VARIABLES, find_key
from tests.judges.faulty_server import FaultyServer, letter_reply
from tests.judges.judge_examples import comparisons, judge_on

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


# Shown nowhere


def test_a_planted_key_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-planted-0123456789-key"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    said: list[str] = []

    def reply(body: dict[str, Any]) -> Any:
        if "Question 1" in json.dumps(body):
            return 400, {}, {"error": {"message": f"bad key {secret} or sk-pl****-key"}}
        return letter_reply(body)

    with caplog.at_level("DEBUG"), FaultyServer(reply, fault_share=0.3, stall_s=1) as server:
        judge = judge_on(server, tmp_path / "run" / "v.sqlite")
        verdicts = judge.preferences(comparisons(20))
        said += [v.model_dump_json() for v in verdicts]
        said += [json.dumps(judge.describe()), repr(judge), repr(judge._client), caplog.text]
        assert server.headers[0]["authorization"] == f"Bearer {secret}", "the server does get it"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    assert not any(secret in text for text in said)
    assert any("***" in v.raw for v in verdicts)


def test_a_user_and_password_in_the_address_are_not_shown(tmp_path: Path) -> None:
    address = "http://user:hunter2@127.0.0.1:9/v1?key=hunter3"
    judge = open_judge(JudgeSettings("m", address), tmp_path / "v.sqlite")
    assert "hunter" not in json.dumps(judge.describe()) + judge.snapshot

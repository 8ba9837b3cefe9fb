"""The judge's key: from the environment or a keyring, and out of everything that is written."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from judges.errors import JudgeError

VARIABLES = ("SSO_BENCH_JUDGE_API_KEY", "OPENAI_API_KEY")
KEYRING_SERVICE = "sso-bench"
OFFICIAL_URL = "https://api.openai.com/v1"
NO_KEY = "no-key"
"""Sent where a server of the user's own needs no key (vllm serve, llama.cpp, Ollama)."""


def find_key(base_url: str | None) -> str:
    """The key for a server: environment, else keyring, else none for a server of the user's own.

    Raises:
        JudgeError: OpenAI's own server is asked without a key.
    """
    for variable in VARIABLES:
        if value := os.environ.get(variable, "").strip():
            return value
    if value := _from_keyring(base_url or OFFICIAL_URL):
        return value
    if base_url is None or base_url.rstrip("/") == OFFICIAL_URL:
        raise JudgeError(
            f"no key for the judge: set {VARIABLES[1]} (or {VARIABLES[0]}), or store one in the "
            f"keyring under service {KEYRING_SERVICE!r} and user {OFFICIAL_URL!r}"
        )
    return NO_KEY


def _from_keyring(url: str) -> str:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return ""
    try:
        return (keyring.get_password(KEYRING_SERVICE, url) or "").strip()
    except keyring.errors.KeyringError:
        return ""  # locked, or none on this machine


def scrub(text: str, *secrets: str) -> str:
    """The text without the secrets, without bearer tokens and things that look like keys."""
    for secret in secrets:
        if secret and secret != NO_KEY:
            text = text.replace(secret, "***")
            if len(secret) > 12:
                # Servers echo wrong keys shortened: "sk-ab***********wxyz".
                text = re.sub(re.escape(secret[:4]) + r"[\w*-]*\*+[\w*-]*", "***", text)
    text = re.sub(r"(?i)(bearer\s+)[^\s\"']+", r"\1***", text)
    return re.sub(r"\bsk-[A-Za-z0-9_*-]{8,}", "***", text)


def public_url(url: str) -> str:
    """The address without user, password, query and fragment; ``***`` where it is no address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "***"
    if port:
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))

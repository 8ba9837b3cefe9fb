"""A model behind a server: named, not held. It answers chats, and that is all it gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.addresses import public_address
from groundwork.errors import UserError
from groundwork.files import digest
from harness.config import RunConfig

if TYPE_CHECKING:
    from harness.models import ResolvedModel


def is_served(config: RunConfig, name: str) -> bool:
    """Whether the starting model is only a name that a server knows, without a folder here."""
    return config.engine.kind == "openai" and not Path(name).expanduser().exists()


def served_model(config: RunConfig, name: str, judged: Sequence[str]) -> ResolvedModel:
    """The model by its name on the server; its fingerprint is of the name and the server's address.
    ``judged`` are the run's uses of judges.

    Raises:
        UserError: something in the configuration needs weights or log-probabilities.
    """
    from harness.models import ResolvedModel

    check_served(config, judged)
    address = public_address(config.engine.base_url or "")
    return ResolvedModel(Path(name), "server", name, digest(["server", address, name]))


def check_served(config: RunConfig, judged: Sequence[str]) -> None:
    """Refuse what a model behind a server can't do: train, give log-probabilities, score answers.

    Raises:
        UserError: every such thing, one per line.
    """
    problems = []
    if config.methods and config.effective_iterations:
        problems.append(
            "engine openai writes text on a server, training needs the weights here: --engine hf or "
            "vllm, or sso-bench eval to score the served model"
        )
    blind = [name for name in config.benchmarks if _needs_weights(config, name)]
    if blind:
        left = ",".join(name for name in config.benchmarks if name not in blind)
        problems.append(
            f"engine openai gives no log-probabilities, which {', '.join(blind)} "
            f"read{'s' if len(blind) == 1 else ''} by this protocol: "
            + (f"--benchmarks {left}, or " if left else "")
            + "another protocol (sso-bench presets protocols)"
        )
    local = [use for use in judged if config.judge.judge_of(use)[0] == "local"]
    if local:
        problems.append(
            f"judge local reads log-probabilities of the model itself, which a server does not give: "
            f"--judge NAME for {', '.join(local)}"
        )
    if problems:
        raise UserError("\n".join(problems))


def ask_served(config: RunConfig, name: str) -> None:
    """One token by each way that the benchmarks will ask: chats, plain text.

    Raises:
        UserError: the server's reason.
    """
    from harness.engines import check_server

    chats = [bool(_settings(config, name).get("chat", True)) for name in config.benchmarks]
    check_server(config.engine, name, chats=any(chats) or not chats, texts=not all(chats))


def _needs_weights(config: RunConfig, name: str) -> bool:
    from harness.benchmarks import get_benchmark

    scores_answers = get_benchmark(name).info.measures == "reward"
    return scores_answers or _settings(config, name).get("extraction") == "loglikelihood"


def _settings(config: RunConfig, name: str) -> dict[str, Any]:
    from harness.benchmarks import load_protocol

    chosen = config.benchmarks[name]
    return {**load_protocol(name, chosen.protocol).settings, **chosen.overrides}

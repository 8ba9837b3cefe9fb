"""Where the judges' prompts come from.

The AlpacaEval prompt is read from the installed alpaca_eval package, the MT-Bench prompts from a
file in FastChat's format where the user has one. Without it, this project's own wording
(``data/judge_prompts.jsonl``) is used under another protocol id, as its figures can't stand beside
published ones.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from groundwork.files import numbered_json_lines
from judges.errors import JudgeError
from judges.request import Message, text_digest

OWN_PROMPTS = Path(__file__).parent / "data" / "judge_prompts.jsonl"
SINGLE = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")
PAIR = ("pair-v2",)
_ALPACA = Path("evaluators_configs", "alpaca_eval_clf_gpt4_turbo", "alpaca_eval_clf.txt")


@dataclass(frozen=True)
class Template:
    """A system text and a user text with ``{name}`` places."""

    name: str
    system: str
    user: str

    def fill(self, values: Mapping[str, str]) -> list[Message]:
        """The chat. Places are filled in one pass: braces in a value stay as they are."""
        user = fill_places(self.user, values)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]


@dataclass(frozen=True)
class PromptBook:
    """The MT-Bench style templates by name. ``protocol`` names their source and wording."""

    protocol: str
    templates: Mapping[str, Template]


def fill_places(template: str, values: Mapping[str, str]) -> str:
    """Replace each ``{name}`` of the template whose name is in ``values``."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found.group(1), found.group(0)), template)


@cache
def alpaca_eval_template() -> tuple[Message, ...]:
    """The chat template of ``weighted_alpaca_eval_gpt4_turbo``, from the installed package.

    Raises:
        JudgeError: alpaca_eval is not installed, or its file does not hold a chat.
    """
    found = importlib.util.find_spec("alpaca_eval")
    if found is None or not found.origin:
        raise JudgeError("alpaca_eval is not installed: its annotator prompt is needed")
    path = Path(found.origin).parent / _ALPACA
    if not path.is_file():
        raise JudgeError(f"alpaca_eval has no annotator prompt at {path}")
    return split_chat(path.read_text(encoding="utf-8"))


def split_chat(text: str) -> tuple[Message, ...]:
    """Messages of a text in ChatML, contents stripped (as alpaca_eval reads its prompts)."""
    found = re.findall(r"<\|im_start\|>(\w+)[^\n]*\n(.*?)<\|im_end\|>", text, re.DOTALL)
    if not found:
        raise JudgeError("a judge prompt in ChatML holds no <|im_start|> ... <|im_end|> message")
    return tuple({"role": role, "content": content.strip()} for role, content in found)


def prompt_book(path: Path | None = None) -> PromptBook:
    """MT-Bench prompts from a FastChat ``judge_prompts.jsonl``, else our own wording.

    Raises:
        UserError: a line is no JSON, or a template that is needed is missing.
    """
    source = "fastchat" if path is not None else "own"
    path = path or OWN_PROMPTS
    templates: dict[str, Template] = {}
    for number, row in numbered_json_lines(path):
        try:
            name = row["name"]
            templates[name] = Template(name, row["system_prompt"], row["prompt_template"])
        except (KeyError, TypeError) as error:
            raise JudgeError(f"{path}:{number}: not a judge prompt ({error!r})") from None
    missing = [name for name in (*SINGLE, *PAIR) if name not in templates]
    if missing:
        raise JudgeError(f"{path}: no prompt named {missing[0]!r}")
    wording = json.dumps([[t.name, t.system, t.user] for t in templates.values()], sort_keys=True)
    return PromptBook(f"{source}-{text_digest(wording)}", templates)

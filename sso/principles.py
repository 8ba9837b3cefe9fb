"""The preference features and the texts made from them: a data file that a user can replace.

Seven features and Concision, each with an adjective pair, a meaning, a good and a bad principle;
the system prompt of x+ and x-; few-shot examples for feature selection and principle writing.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from groundwork.errors import UserError
from groundwork.records import first_problem
from sso.records import Message

Side = Literal["good", "bad"]
PACKAGED_FILE = "principles.yaml"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Feature(_Part):
    """A preference feature: what can be good or bad about a response."""

    name: str = Field(min_length=1)
    positive: str = Field(min_length=1)
    negative: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    good: str = Field(min_length=1)
    bad: str = Field(min_length=1)

    @model_validator(mode="after")
    def _contrasts(self) -> Feature:
        if self.good == self.bad:
            raise ValueError(f"the good and the bad principle of {self.name} are the same")
        return self


class SelectionExample(_Part):
    """A query and the features that matter for it."""

    query: str = Field(min_length=1)
    features: tuple[str, ...] = Field(min_length=1)


class WritingExample(SelectionExample):
    """A query, its features, and a good and a bad guideline for it."""

    good: str = Field(min_length=1)
    bad: str = Field(min_length=1)


class Selection(_Part):
    """The prompt that asks which features matter."""

    instruction: str
    examples: tuple[SelectionExample, ...] = ()


class Writing(_Part):
    """The prompt that asks for guidelines."""

    instruction: str
    examples: tuple[WritingExample, ...] = ()


class ContrastExample(_Part):
    """A query with a bad guideline for it and a good one of similar structure."""

    query: str = Field(min_length=1)
    bad: str = Field(min_length=1)
    good: str = Field(min_length=1)


class DirectWriting(_Part):
    """The prompt that asks for guidelines of a query, bad before good, without features."""

    instruction: str
    examples: tuple[ContrastExample, ...] = Field(min_length=1)


class PrincipleBook(_Part):
    """All texts of a principles file, checked against each other."""

    version: Literal[1] = 1
    system: str
    system_role: Literal["system", "user"] = "system"
    leak_words: tuple[str, ...] = ()
    leak_phrases: tuple[str, ...] = ()
    features: tuple[Feature, ...] = Field(min_length=1)
    concision: Feature
    selection: Selection
    writing: Writing
    direct_writing: DirectWriting | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PrincipleBook:
        needed = (
            ("system", self.system, "{guidelines}"),
            ("selection.instruction", self.selection.instruction, "{features}"),
        )
        for where, text, mark in needed:
            if mark not in text:
                raise ValueError(f"{where} lacks the placeholder {mark}")
        names = [feature.name for feature in (*self.features, self.concision)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two features are called {name!r}")
        for section in ("selection", "writing"):
            for example in getattr(self, section).examples:
                for name in example.features:
                    if name not in names:
                        raise ValueError(
                            f"{section}.examples: no feature {name!r}{_nearest(name, names)}"
                        )
        return self

    def feature(self, name: str) -> Feature:
        """The feature of that name, Concision included; ``UserError`` if there is none."""
        for feature in (*self.features, self.concision):
            if feature.name == name:
                return feature
        names = [f.name for f in (*self.features, self.concision)]
        raise UserError(f"no preference feature {name!r}{_nearest(name, names)}")

    def predefined(self, names: Sequence[str], side: Side) -> str:
        """The predefined guidelines of these features, one line each."""
        return "\n".join(f"- {getattr(self.feature(name), side)}" for name in names)


def load_principles(file: str | Path | None = None) -> PrincipleBook:
    """Read a principles file, or the packaged one.

    Raises:
        UserError: the file is missing, is no YAML mapping, or a key is missing, unknown or wrong;
            the message names the file, the place and the nearest valid key.
    """
    if file is None:
        text = resources.files("sso").joinpath(PACKAGED_FILE).read_text(encoding="utf-8")
        return parse_principles(text, PACKAGED_FILE)
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"principles file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"principles file {path}: not UTF-8 text") from None
    return parse_principles(text, str(path))


def parse_principles(text: str, name: str) -> PrincipleBook:
    """A principles file from its text; ``name`` stands for it in errors."""
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"principles file {name}{line}: not YAML ({error.problem})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"principles file {name}: not YAML ({error})") from None
    if not isinstance(data, dict):
        raise UserError(f"principles file {name}: a mapping of keys was expected")
    try:
        return PrincipleBook.model_validate(data)
    except ValidationError as error:
        raise UserError(f"principles file {name}: {_problem(error)}") from None


def contrast_prompt(book: PrincipleBook, guidelines: str, query: str) -> tuple[Message, ...]:
    """x+ or x-: the query with these guidelines in the system prompt, or before it in the user's turn
    where ``book.system_role`` is ``user`` (templates without a system turn)."""
    system = book.system.replace("{guidelines}", guidelines)
    if book.system_role == "user":
        return plain_prompt(f"{system}\n\n{query}")
    return ({"role": "system", "content": system}, *plain_prompt(query))


def plain_prompt(query: str) -> tuple[Message, ...]:
    """x: the query alone, with no system prompt."""
    return ({"role": "user", "content": query},)


def _problem(error: ValidationError) -> str:
    """One line; for an unknown key also the nearest valid one of the same place."""
    first = error.errors()[0]
    text = first_problem(error)
    if first["type"] != "extra_forbidden":
        return text
    known = _keys_at(first["loc"])
    return text.replace(first["msg"], f"unknown key{_nearest(str(first['loc'][-1]), known)}")


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    models: dict[str, Any] = {
        "features": Feature,
        "concision": Feature,
        "selection": Selection,
        "writing": Writing,
        "direct_writing": DirectWriting,
    }
    if len(place) == 1:
        return list(PrincipleBook.model_fields)
    if "examples" in place:
        examples: dict[str, type[BaseModel]] = {
            "writing": WritingExample,
            "direct_writing": ContrastExample,
        }
        return list(examples.get(str(place[0]), SelectionExample).model_fields)
    return list(models[str(place[0])].model_fields)


def _nearest(name: str, known: Sequence[str]) -> str:
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return f"; did you mean {lowered[close[0]]!r}?" if close else f"; known: {', '.join(known)}"

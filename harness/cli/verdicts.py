"""``sso-bench verdicts``: verdicts so far, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundwork.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from judges.import_export.files import Exchanged
    from judges.store import VerdictStore

FORMATS = ("jsonl", "alpaca_eval", "fastchat", "pairwise")
verdicts = typer.Typer(help="The store of verdicts: export, import, stats.", no_args_is_help=True)

Store = Annotated[
    Path | None, typer.Option("--store", help="SQLite file (default: the user's cache).")
]
Format = Annotated[
    str, typer.Option("--format", "-f", help="jsonl, alpaca_eval, fastchat, or pairwise (import).")
]
JudgeName = Annotated[str | None, typer.Option("--judge", help="Name of the judge.")]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="FastChat's judge_prompts.jsonl (for fastchat).")
]


@verdicts.command()
def stats(store: Store = None) -> None:
    """Replies, tokens and dollars by judge and protocol."""
    rows = _open(store, must_exist=True).stats()
    if not rows:
        print("the store holds no verdict")
        return
    widths = {k: max(len(k), *(len(_cell(row[k])) for row in rows)) for k in rows[0]}
    print("  ".join(f"{name:<{width}}" for name, width in widths.items()))
    for row in rows:
        print("  ".join(f"{_cell(row[name]):<{width}}" for name, width in widths.items()))


@verdicts.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write.")],
    form: Format = "jsonl",
    judge: JudgeName = None,
    prompts: Prompts = None,
    outputs: Annotated[
        Path | None,
        typer.Option("--model-outputs", help="alpaca_eval's file of the one model that is meant."),
    ] = None,
    store: Store = None,
) -> None:
    """Write verdicts as JSONL, alpaca_eval annotations or FastChat judgments."""
    from judges import JudgeError
    from judges.import_export import Judgments, export_alpaca_eval, export_fastchat, export_jsonl
    from judges.prompts import prompt_book

    if _known(form) == "pairwise":
        raise JudgeError("--format pairwise is for import: export them as jsonl")
    if form != "jsonl" and judge is None:
        raise JudgeError(
            f"--format {form} needs --judge NAME (sso-bench verdicts stats lists them)"
        )
    if outputs is not None and form != "alpaca_eval":
        raise JudgeError("--model-outputs is for --format alpaca_eval")
    source = _open(store, must_exist=True)
    if judge is None or form == "jsonl":
        done = export_jsonl(source, out, judge=judge)
    elif form == "alpaca_eval":
        done = export_alpaca_eval(source, out, judge=judge, outputs=outputs)
    else:
        done = export_fastchat(source, out, prompt_book(prompts), Judgments(judge))
    _report("written", out, done)


@verdicts.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="File to read.")],
    form: Format = "jsonl",
    judge: JudgeName = None,
    prompts: Prompts = None,
    store: Store = None,
) -> None:
    """Read verdicts made elsewhere, so that no judge is called again."""
    from judges import JudgeError
    from judges.import_export import (
        import_alpaca_eval,
        import_fastchat,
        import_jsonl,
        import_pairwise,
    )
    from judges.prompts import prompt_book

    target = _open(store)
    if _known(form) == "jsonl":
        done = import_jsonl(target, file)
    elif form == "pairwise":
        done, names = import_pairwise(target, file, judge=judge)
        print("judges: " + ", ".join(f"saved:{name}" for name in names))
    elif form == "alpaca_eval":
        done = import_alpaca_eval(target, file, judge=judge)
    elif prompts is None:
        raise JudgeError(
            "--format fastchat needs --prompts FILE, FastChat's judge_prompts.jsonl: without it the "
            "judgments would stand under another wording than the one that was asked"
        )
    else:
        done = import_fastchat(target, file, prompt_book(prompts), judge=judge)
    _report("read", file, done)


@verdicts.command()
def verify(
    store: Store = None,
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Set poisoned replies aside, save what a damaged file holds."),
    ] = False,
) -> None:
    """Read the whole store: are all replies readable, each the one to its request, each cost an
    amount?"""
    from harness.resources import verdict_store
    from judges.verify import check_store, mend_store

    path = store or verdict_store()
    found = mend_store(path) if mend else check_store(path)
    print(f"{path}: {found.rows} replies read, {found.kept} unreadable ones kept raw")
    for line in found.lines():
        print(f"  {line}")
    if found.whole:
        print("all of it is as it was written")
    elif mend:
        print("mended: what was set aside is asked again when it is needed")
    else:
        raise UserError(f"{path} is damaged: sso-bench verdicts verify --mend mends it")


def _open(store: Path | None, *, must_exist: bool = False) -> VerdictStore:
    from harness.resources import verdict_store
    from judges.store import VerdictStore

    if must_exist and store is not None and not store.is_file():
        raise UserError(f"no store of verdicts {store}")
    return VerdictStore(store or verdict_store())


def _known(form: str) -> str:
    from judges import JudgeError

    if form not in FORMATS:
        raise JudgeError(f"no format {form!r} ({did_you_mean(form, FORMATS)})")
    return form


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _report(what: str, path: Path, done: Exchanged) -> None:
    left = ", ".join(f"{count} {reason}" for reason, count in done.left_out.items())
    print(f"{what}: {path}, {done.rows} rows" + (f" (left out: {left})" if left else ""))

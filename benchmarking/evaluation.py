"""One checkpoint through the suite, against the peers' commands one after the other.

    python benchmarking/evaluation.py --model DIR --data DIR --work DIR [--section ours,gsm8k] [--json FILE]

Parity on 200 items alone: ``--section ours,gsm8k,mmlu_pro,math --suite gsm8k,mmlu_pro,math --items 200``.

Both sides get the same items (drawn under our limit), prompts, answer lengths and cores; each side runs as
processes of its own, imports and model loading included. The sections can be run one at a time: what
each measured stays in the work folder, and ``--json`` writes all that is there.

- ``ours``: GSM8K, MMLU-Pro, MATH, AlpacaEval and MT-Bench's answers with one loaded model;
- ``gsm8k``, ``mmlu_pro``, ``math``: the ``lm_eval`` command; prompts, texts and verdicts are compared
  with ours item by item. Greedy texts can differ between batch shapes, so a few may: they are listed;
- ``alpaca_eval``: alpaca_eval's decoder, then its command with every annotation cached;
- ``mt_bench``: FastChat's answer generation (``evaluation_peers.py`` says what these two need here);
- ``linear``: our time on 50, 200 and 800 GSM8K items, no examples, 16 new tokens;
- ``rescore``: 100,000 saved GSM8K and MMLU-Pro answers scored again. Needs no model.

Figures: ``wall_vs_peer_commands`` (ours over the sum of theirs, over the benchmarks of which both are there),
``own_overhead_share`` (the part of our wall time outside the engine's loading and its calls: prompts,
grading, length control, imports), ``rescored_items_per_second``, ``seconds_per_item`` by number of items.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation_lm_eval import FILES, compare, run_peer
from evaluation_ours import request
from evaluation_peers import run_alpaca_eval, run_fastchat, timed

SUITE = (*FILES, "alpaca_eval", "mt_bench")
LINEAR = (50, 200, 800)
LINEAR_TOKENS = 16
RESCORED = 100_000


def ours(args: argparse.Namespace) -> dict[str, Any]:
    """Our process over the suite."""
    wall, parts = run_ours(args, args.work / "ours", args.suite, args.items, args.new_tokens)
    return {"wall": wall, **parts}


def run_ours(
    args: argparse.Namespace, out: Path, names: tuple[str, ...], items: int, new: int, *more: str
) -> tuple[float, dict[str, Any]]:
    """Wall seconds of our process, what it does not count taken off, and its parts."""
    command = [sys.executable, str(Path(__file__).resolve().with_name("evaluation_ours.py"))]
    command += ["--model", args.model, "--data", args.data, "--out", str(out)]
    command += ["--benchmarks", ",".join(names), "--items", str(items), "--new-tokens", str(new)]
    wall = timed([*command, *more], args.work)
    parts = json.loads((out / "timings.json").read_text())
    return wall - parts["untimed"], parts


def lm_eval(name: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """The section of one ``lm_eval`` command."""

    def section(args: argparse.Namespace) -> dict[str, Any]:
        asked = request(name, args.data, args.items, args.new_tokens)
        out = args.work / f"peer-{name}"
        return {"wall": run_peer(name, asked, out, args.model, args.new_tokens, args.peer_batch)}

    return section


def alpaca_eval(args: argparse.Namespace) -> dict[str, Any]:
    """Decoder and command."""
    from harness.benchmarks.alpaca_eval.benchmark import prepare

    drawn = prepare(request("alpaca_eval", args.data, args.items, args.new_tokens)).instructions
    rows = [
        {
            "dataset": i.dataset,
            "instruction": i.instruction,
            "output": i.baseline_output,
            "generator": i.baseline,
        }
        for i in drawn
    ]
    folder = args.work / "peer-alpaca_eval"
    seconds = run_alpaca_eval(rows, args.model, folder, args.new_tokens, args.peer_batch)
    return {"wall": sum(seconds.values()), **seconds}


def mt_bench(args: argparse.Namespace) -> dict[str, Any]:
    """FastChat's answers to the drawn questions."""
    from harness.benchmarks.mt_bench.benchmark import QUESTIONS, prepare

    asked = request("mt_bench", args.data, args.items, args.new_tokens)
    drawn = {str(question.question_id) for question in prepare(asked).questions}
    lines = asked.data.path(QUESTIONS).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if str(row["question_id"]) in drawn]
    folder = args.work / "peer-mt_bench"
    return {"wall": run_fastchat(rows, args.model, folder, args.new_tokens)}


def linear(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of generation and scoring by number of items; loading is not in them."""
    found = {}
    for items in LINEAR:
        out = args.work / f"linear-{items}"
        _, parts = run_ours(args, out, ("gsm8k",), items, LINEAR_TOKENS, "--shots", "0")
        found[str(items)] = sum(
            parts["gsm8k"][part] for part in ("engine", "rest_of_generation", "scoring")
        )
    return {"seconds": found}


def rescored(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds for 100,000 saved answers: half GSM8K's, half MMLU-Pro's, repeated to that number."""
    from harness.benchmarks.rescore import rescore

    data = Path(args.data)
    files = {
        "gsm8k/community": data / "gsm8k" / "replay_llm_outputs.jsonl",
        "mmlu_pro/official": data / "mmlu_pro" / "replay_Meta-Llama-3_1-8B-Instruct.jsonl",
    }
    seconds = {}
    for protocol, file in files.items():
        lines = file.read_text(encoding="utf-8").strip().split("\n")
        rows = [json.loads(line) for line in lines]
        number = RESCORED // len(files)
        repeated = args.work / f"{protocol.replace('/', '-')}.jsonl"
        with repeated.open("w", encoding="utf-8") as out:
            for n in range(number):
                out.write(json.dumps({**rows[n % len(rows)], "item_id": str(n)}) + "\n")
        started = time.perf_counter()
        assert len(rescore(repeated, protocol).items) == number
        seconds[protocol] = time.perf_counter() - started
    return {"seconds": seconds}


SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "ours": ours,
    **{name: lm_eval(name) for name in FILES},
    "alpaca_eval": alpaca_eval,
    "mt_bench": mt_bench,
    "linear": linear,
    "rescore": rescored,
}


# --- putting it together -------------------------------------------------------------------------


def collect(args: argparse.Namespace) -> dict[str, Any]:
    """All figures that the sections in the work folder allow."""
    found = {
        name: json.loads(file.read_text())
        for name in SECTIONS
        if (file := args.work / f"{name}.json").is_file()
    }
    figures: dict[str, Any] = {"cores": os.cpu_count(), "sections": found}
    if "ours" in found:
        figures |= side_by_side(args, found)
    if "linear" in found:
        seconds = found["linear"]["seconds"]
        figures["seconds_per_item"] = {n: value / int(n) for n, value in seconds.items()}
    if "rescore" in found:
        figures["rescored_items_per_second"] = RESCORED / sum(found["rescore"]["seconds"].values())
    return figures


def side_by_side(args: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """Ours against the peers that were run; a benchmark without its peer is taken off our time."""
    mine = found["ours"]
    suite = [name for name in SUITE if name in mine]
    peers = {name: found[name]["wall"] for name in suite if name in found}
    parts = ("engine", "rest_of_generation", "scoring")
    alone = sum(mine[name][part] for name in suite if name not in peers for part in parts)
    figures: dict[str, Any] = {
        "own_overhead_share": (mine["wall"] - mine["engine"] - mine["loading"]) / mine["wall"],
        "our_seconds": mine["wall"],
        "peer_seconds": peers,
    }
    if peers:
        figures["wall_vs_peer_commands"] = (mine["wall"] - alone) / sum(peers.values())
    figures["agreement"] = {
        name: compare(
            name,
            request(name, args.data, args.items, args.new_tokens),
            args.work / "ours" / name,
            args.work / f"peer-{name}",
        )
        for name in FILES
        if name in peers
    }
    return figures


def settle(args: argparse.Namespace) -> None:
    """A work folder holds one setting: sections of different settings must not be merged."""
    args.work.mkdir(parents=True, exist_ok=True)
    args.work = args.work.resolve()
    args.model, args.data = (str(Path(p).resolve()) if p else p for p in (args.model, args.data))
    setting = [args.model, args.data, args.items, args.new_tokens, args.peer_batch]
    file = args.work / "setting.json"
    if file.is_file() and json.loads(file.read_text()) != setting:
        raise SystemExit(f"{args.work} holds figures of other settings: {file.read_text()}")
    file.write_text(json.dumps(setting))


def main() -> None:
    """Run the sections asked for, print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="folder of the checkpoint")
    parser.add_argument("--data", required=True, help="folder of real data")
    parser.add_argument("--work", type=Path, help="folder that keeps outputs and figures")
    parser.add_argument(
        "--section", default=",".join(SECTIONS), help="comma-separated; all of them"
    )
    parser.add_argument(
        "--suite",
        type=lambda text: tuple(text.split(",")),
        default=SUITE,
        help="benchmarks of the section ours; all five",
    )
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--peer-batch", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    names = args.section.split(",")
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if unknown := set(args.suite) - set(SUITE):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(SUITE)}")
    if names != ["rescore"] and not args.model:
        parser.error("--model is needed (but for --section rescore)")
    with tempfile.TemporaryDirectory() as scratch:
        args.work = args.work or Path(scratch)
        settle(args)
        for name in names:
            found = SECTIONS[name](args)
            (args.work / f"{name}.json").write_text(json.dumps(found, indent=1))
            print(f"{name}: {json.dumps(found)}", flush=True)
        figures = collect(args)
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The peers' own commands on one checkpoint, offline on a CPU: what ``evaluation.py`` runs beside ours.

``lm_eval`` runs as its command. The two others are not run as they stand, because neither can be here:

- alpaca_eval 0.6.6's local decoder (``huggingface_local_completions``) passes ``load_in_8bit`` to
  ``from_pretrained`` wherever there is no CUDA, which transformers 5 refuses; the launcher takes that one
  argument away. Its command then runs as it is, its annotations cached, with ``get_winrate``: its
  length-controlled metric fetches a file from the hub at every call (ours is computed on our side).
- FastChat's ``gen_model_answer`` asks for CUDA by name and imports ``anthropic`` for its judge; the launcher
  gives it the CPU and an empty module of that name. FastChat knows conversation templates by model
  name, so the launcher hands it the checkpoint's own chat template. Its loop is untouched.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"


def timed(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> float:
    """Wall seconds of a command run in ``folder``; its end on failure."""
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    started = time.perf_counter()
    done = subprocess.run(
        list(command),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **offline, **(env or {})},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def launch(part: str, model: str, folder: Path, new_tokens: int, batch: int) -> float:
    """Wall seconds of one launcher of this file as a process of its own, imports included."""
    command = [sys.executable, str(Path(__file__).resolve()), part, "--model", model]
    options = ["--new-tokens", str(new_tokens), "--batch", str(batch)]
    return timed([*command, *options], folder)


# --- alpaca_eval -----------------------------------------------------------------------------------


def run_alpaca_eval(
    rows: Sequence[Mapping[str, Any]], model: str, folder: Path, new_tokens: int, batch: int
) -> dict[str, float]:
    """Seconds of its decoder and of its command with every annotation cached.

    ``rows`` are the instructions with the baseline's outputs. The cache is filled by the same command
    against a local server, not timed.
    """
    from judging import running_server

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.json").write_text(json.dumps(rows))
    decoding = launch("decode", model, folder, new_tokens, batch)
    command = [str(Path(sys.executable).with_name("alpaca_eval")), "evaluate"]
    command += ["--model_outputs", "outputs.json", "--reference_outputs", "reference.json"]
    command += ["--annotators_config", ANNOTATOR, "--caching_path", str(folder / "cache.json")]
    command += ["--output_path", "out", "--precomputed_leaderboard", "None"]
    command += ["--fn_metric", "get_winrate", "--sort_by", "win_rate"]
    with running_server(0.0, 50) as url:
        timed(command, folder, {"OPENAI_API_BASE": url, "OPENAI_API_KEY": "none"})
    nowhere = {"OPENAI_API_BASE": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "none"}
    return {"decoding": decoding, "command": timed(command, folder, nowhere)}


def decode(model: str, new_tokens: int, batch: int) -> None:
    """alpaca_eval's local decoder on ``reference.json``, greedy; writes ``outputs.json``."""
    from alpaca_eval.decoders import huggingface_local
    from transformers import AutoModelForCausalLM, AutoTokenizer

    class Loader:
        """Its model class without the argument that transformers 5 refuses."""

        @staticmethod
        def from_pretrained(name: str, load_in_8bit: bool = False, **options: Any) -> Any:
            return AutoModelForCausalLM.from_pretrained(name, **options)

    huggingface_local.AutoModelForCausalLM = Loader
    rows = json.loads(Path("reference.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row["instruction"]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for row in rows
    ]
    made = huggingface_local.huggingface_local_completions(
        prompts, model, batch_size=batch, max_new_tokens=new_tokens
    )
    texts = [text.strip() for text in made["completions"]]
    found = [
        {**row, "output": text, "generator": "model"} for row, text in zip(rows, texts, strict=True)
    ]
    Path("outputs.json").write_text(json.dumps(found))


# --- FastChat --------------------------------------------------------------------------------------


def run_fastchat(
    questions: Sequence[Mapping[str, Any]], model: str, folder: Path, new_tokens: int
) -> float:
    """Seconds of its answer generation for these questions, two turns each."""
    (folder / "data" / "mt_bench").mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    (folder / "data" / "mt_bench" / "question.jsonl").write_text(lines)
    return launch("fastchat", model, folder, new_tokens, 1)


class TemplateConversation:
    """What ``gen_model_answer`` asks of a FastChat conversation, from the model's chat template."""

    name = "chat-template"
    roles = ("user", "assistant")
    stop_token_ids: Sequence[int] = ()
    stop_str = ""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.messages: list[dict[str, Any]] = []

    def append_message(self, role: str, content: str | None) -> None:
        """One message; None is the answer that is asked for."""
        self.messages.append({"role": role, "content": content})

    def update_last_message(self, content: str) -> None:
        """The answer, once it is there."""
        self.messages[-1]["content"] = content

    def get_prompt(self) -> str:
        """The conversation up to the answer asked for."""
        text: str = self.tokenizer.apply_chat_template(
            self.messages[:-1], tokenize=False, add_generation_prompt=True
        )
        return text


def fastchat(model: str, new_tokens: int) -> None:
    """``gen_model_answer`` on the CPU, as its command line runs it; writes ``answers/model.jsonl``."""
    import types

    import torch
    from transformers import AutoTokenizer

    sys.modules.setdefault("anthropic", types.ModuleType("anthropic"))
    from fastchat.llm_judge import gen_model_answer as command

    load, tokenizer = command.load_model, AutoTokenizer.from_pretrained(model)
    command.load_model = lambda path, **options: load(path, **{**options, "device": "cpu"})
    command.get_conversation_template = lambda name: TemplateConversation(tokenizer)
    torch.Tensor.cuda = lambda tensor, *args, **options: tensor  # type: ignore[method-assign]
    command.run_eval(
        model_path=model,
        model_id="model",
        question_file="data/mt_bench/question.jsonl",
        question_begin=None,
        question_end=None,
        answer_file="answers/model.jsonl",
        max_new_token=new_tokens,
        num_choices=1,
        num_gpus_per_model=1,
        num_gpus_total=1,
        max_gpu_memory=None,
        dtype=torch.float32,
        revision="main",
    )
    command.reorg_answer_file("answers/model.jsonl")
    answers = [json.loads(line) for line in Path("answers/model.jsonl").read_text().splitlines()]
    if any("ERROR" in answer["choices"][0]["turns"] for answer in answers):
        raise SystemExit("FastChat gave up on an answer")


def main() -> None:
    """Entry of the launched processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("decode", "fastchat"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    args = parser.parse_args()
    if args.part == "decode":
        decode(args.model, args.new_tokens, args.batch)
    else:
        fastchat(args.model, args.new_tokens)


if __name__ == "__main__":
    main()

"""Engine for models behind an OpenAI-compatible server (a vendor's, or ``vllm serve``).

Chats go to the chat endpoint, rendered strings to the completions endpoint. The key comes from
``OPENAI_API_KEY`` and from nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any, TypeVar

from groundwork.addresses import public_address
from groundwork.sampling_params import SamplingParams
from harness.engines.base import Completion, ContinuationLogprob, Message, Prompt
from harness.engines.chat_tokenizer import Codec, cut_at_stop
from harness.engines.errors import ContextTooLong, EngineError

T = TypeVar("T")
CHAT_MARK = "[chat messages]"
"""Begins a 'rendered' chat of a model whose template only the server has; JSON follows."""
DEFAULT_CONTEXT = 8192
CHARACTERS_PER_TOKEN = 4
SERVER_STOPS = 4
"""How many stop strings servers accept at most; all of them are applied to the text anyway."""


class OpenAIEngine:
    """See ``harness.engines.base.Engine``.

    ``model`` is the server's name for the model. Where it is also a local model folder (as
    ``vllm serve FOLDER`` names it), prompts are rendered and counted with that folder's tokenizer.
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        max_length: int | None = None,
        concurrency: int = 16,
        max_retries: int = 6,
        timeout: float = 600.0,
    ) -> None:
        import openai

        self.model, self.concurrency = model, concurrency
        key = os.environ.get("OPENAI_API_KEY")
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        if not key and not self.base_url:
            raise EngineError("engine openai: set OPENAI_API_KEY, or give a server's base_url")
        self._client: Any = openai.OpenAI(
            api_key=key or "none", base_url=self.base_url, max_retries=max_retries, timeout=timeout
        )
        folder = Path(model).expanduser()
        self._codec = Codec(folder) if (folder / "config.json").is_file() else None
        self._limit_name = "max_tokens"
        self.max_length = max_length or self._context()
        identity = f"{self._client.base_url}\0{model}"
        if self._codec is not None:
            from harness.models import model_fingerprint

            identity += model_fingerprint(folder)
        self.model_hash = hashlib.sha256(identity.encode()).hexdigest()[:16]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The chat as text; without a local tokenizer, a form that ``chat`` turns back."""
        if self._codec is not None:
            return self._codec.render(messages, add_generation_prompt=add_generation_prompt)
        turns = [{"role": m["role"], "content": m["content"]} for m in messages]
        return f"{CHAT_MARK} {json.dumps(turns, ensure_ascii=False)}"

    def count_tokens(self, text: str) -> int:
        """Number of tokens; without a local tokenizer an estimate of four characters per token."""
        if self._codec is not None:
            return len(self._codec.encode([text])[0])
        return -(-len(text) // CHARACTERS_PER_TOKEN)

    def chat(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams,
        *,
        seeds: Sequence[int] | None = None,
        on_done: Callable[[int, Completion], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[Completion]:
        """One completion per prompt, ``concurrency`` requests at a time, each with its seed.

        Raises:
            EngineError: the server refused or stayed away through all retries; what was finished by
                then has been passed to ``on_done``.
        """
        seeds = list(seeds) if seeds is not None else list(range(len(prompts)))

        def ask(index: int) -> Completion:
            how: dict[str, Any] = {"model": self.model, "temperature": params.temperature}
            how |= {"seed": seeds[index] & 0x7FFFFFFF}
            how |= {} if params.greedy else {"top_p": params.top_p}
            how |= {"stop": list(params.stop[:SERVER_STOPS])} if params.stop else {}
            return self._complete(prompts[index], how, params, index)

        return self._all(len(prompts), finished, ask, on_done, Completion("", 0, 0, False))

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        *,
        ended: Sequence[bool] | None = None,
        on_done: Callable[[int, ContinuationLogprob], None] | None = None,
        finished: Collection[int] | None = None,
    ) -> list[ContinuationLogprob]:
        """Log-probabilities by echoing the prompt, which not every server does.

        Raises:
            EngineError: the server gives none, or the prompt is a chat whose template is unknown.
        """

        def ask(index: int) -> ContinuationLogprob:
            prompt = prompts[index]
            if self._codec is None and not isinstance(prompt, str):
                raise EngineError(_no_template(self.model))
            text = prompt if isinstance(prompt, str) else self.render(prompt)
            if text.startswith(CHAT_MARK):
                raise EngineError(_no_template(self.model))
            kept = len(text.rstrip()) if isinstance(prompt, str) else len(text)
            rest = continuations[index]
            if ended is not None and ended[index] and self._codec is not None:
                rest += self._codec.decode_raw([self._codec.end_of_turn])
            return self._echo(text + rest, kept, index)

        nothing = ContinuationLogprob(0.0, 0, True)
        return self._all(len(prompts), finished, ask, on_done, nothing)

    def check(self, *, chats: bool = True, texts: bool = False) -> None:
        """Ask for one token after a chat, after plain text, or both, so that a wrong address, key or
        name shows before anything is spent, and a server without one of the endpoints.

        Raises:
            EngineError: the server's reason.
        """
        client = self._client.with_options(max_retries=1, timeout=60)
        if chats:
            hello = [{"role": "user", "content": "Hello"}]
            self._send(client.chat.completions.create, 0, 1, model=self.model, messages=hello)
        if texts:
            self._send(client.completions.create, 0, 1, model=self.model, prompt="Hello")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # --- requests -----------------------------------------------------------------------------

    def _all(
        self,
        count: int,
        finished: Collection[int] | None,
        ask: Callable[[int], T],
        on_done: Callable[[int, T], None] | None,
        blank: T,
    ) -> list[T]:
        """Ask for every unfinished item; results are reported from the caller's own thread."""
        results = [blank] * count
        skip = set(finished or ())
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="openai") as pool:
            pending: dict[Future[T], int] = {
                pool.submit(ask, index): index for index in range(count) if index not in skip
            }
            try:
                for future in as_completed(pending):
                    index = pending.pop(future)
                    if finished is None:
                        results[index] = future.result()
                    if on_done is not None:
                        on_done(index, future.result())
            except BaseException:
                self._save_rest(pending, on_done)
                raise
        return results

    def _save_rest(
        self,
        pending: dict[Future[T], int],
        on_done: Callable[[int, T], None] | None,
    ) -> None:
        """After a failure: start nothing more, but keep answers that are paid for already."""
        for future in pending:
            future.cancel()
        running = [future for future in pending if not future.cancelled()]
        wait(running, timeout=30, return_when=FIRST_EXCEPTION)
        if on_done is None:
            return
        for future in running:
            if future.done() and future.exception() is None:
                on_done(pending[future], future.result())

    def _complete(
        self, prompt: Prompt, how: dict[str, Any], params: SamplingParams, index: int
    ) -> Completion:
        messages, limit = _messages(prompt), params.max_new_tokens
        if messages is not None:
            answer = self._send(
                self._client.chat.completions.create, index, limit, messages=messages, **how
            )
            self._check_answer(answer, index)
            text = answer.choices[0].message.content or ""
        else:
            answer = self._send(self._client.completions.create, index, limit, prompt=prompt, **how)
            self._check_answer(answer, index)
            text = answer.choices[0].text or ""
        usage = answer.usage
        prompt_tokens = usage.prompt_tokens if usage else self.count_tokens(str(prompt))
        written = usage.completion_tokens if usage else self.count_tokens(text)
        cut = cut_at_stop(text, params.stop)
        truncated = answer.choices[0].finish_reason == "length" and cut == text
        return Completion(cut, prompt_tokens, written, truncated)

    def _check_answer(self, answer: Any, index: int) -> None:
        """A success without an answer: some servers put their error into the body, or end with it."""
        choices = getattr(answer, "choices", None) or ()
        reason = str(choices[0].finish_reason) if choices else ""
        if choices and reason not in ("error", "abort"):
            return
        stated = (getattr(answer, "model_extra", None) or {}).get("error") or reason or "no choices"
        raise EngineError(f"{self._where()} gives no answer to item {index}: {_line(str(stated))}")

    def _echo(self, text: str, kept: int, index: int) -> ContinuationLogprob:
        answer = self._send(
            self._client.completions.create,
            index,
            1,
            model=self.model,
            prompt=text,
            temperature=0,
            echo=True,
            logprobs=1,
        )
        found = answer.choices[0].logprobs
        if found is None or not found.token_logprobs or found.text_offset is None:
            raise EngineError(
                f"{self._where()} gives no log-probabilities of prompts (echo with "
                "logprobs): use the hf or vllm engine"
            )
        total, tokens, greedy = 0.0, 0, True
        rows = zip(
            found.text_offset,
            found.token_logprobs,
            found.top_logprobs or [None] * len(found.text_offset),
            strict=True,
        )
        for offset, value, top in rows:
            # The one generated token lies behind the text; a first token has no probability.
            if kept <= offset < len(text) and value is not None:
                total, tokens = total + value, tokens + 1
                greedy = greedy and (not top or value >= max(top.values()) - 1e-6)
        return ContinuationLogprob(total, tokens, greedy)

    def _send(self, create: Callable[..., Any], index: int, limit: int, **how: Any) -> Any:
        """One request, with the server's failures as one clear line."""
        import openai

        try:
            return create(**{self._limit_name: limit}, **how)
        except openai.BadRequestError as error:
            text = str(error)
            if "max_completion_tokens" in text and self._limit_name == "max_tokens":
                self._limit_name = "max_completion_tokens"  # what newer models call it
                return self._send(create, index, limit, **how)
            if "context length" in text or "context_length" in text:
                needed = self.count_tokens(str(how.get("prompt") or how.get("messages"))) + limit
                raise ContextTooLong(needed, self.max_length, index) from None
            raise EngineError(f"{self._where()} refuses item {index}: {_line(text)}") from None
        except openai.AuthenticationError:
            raise EngineError(
                f"{self._where()} refuses the key in OPENAI_API_KEY (or none is set)"
            ) from None
        except openai.NotFoundError as error:
            raise EngineError(
                f"{self._where()} has no model {self.model}: {_line(str(error))}"
            ) from None
        except openai.OpenAIError as error:
            raise EngineError(
                f"{self._where()} does not answer: {type(error).__name__}: {_line(str(error))}"
            ) from None

    def _where(self) -> str:
        return f"server {public_address(str(self._client.base_url))}"

    def _context(self) -> int:
        """The context that the server states (vLLM does), else a cautious guess."""
        import openai

        try:
            listed: Iterable[Any] = self._client.with_options(
                max_retries=0, timeout=10
            ).models.list()
            for entry in listed:
                if entry.id == self.model:
                    return int(getattr(entry, "max_model_len", None) or DEFAULT_CONTEXT)
        except (openai.OpenAIError, ValueError, TypeError):
            pass  # not every server lists its models; the first request shows what is wrong
        return DEFAULT_CONTEXT


def _messages(prompt: Prompt) -> list[dict[str, str]] | None:
    """The messages of a chat or of what ``render`` made of one; ``None`` for other strings."""
    if not isinstance(prompt, str):
        return [{"role": m["role"], "content": m["content"]} for m in prompt]
    if not prompt.startswith(CHAT_MARK):
        return None
    try:
        found: list[dict[str, str]] = json.loads(prompt[len(CHAT_MARK) :])
    except ValueError:
        raise EngineError(
            "engine openai: text was added to a chat that only the server can render; give the "
            "model's local folder as the model name, so that it is rendered here"
        ) from None
    return found


def _no_template(model: str) -> str:
    return (
        f"engine openai: log-probabilities after a chat need the chat template of {model}: give the "
        "model's local folder as the model name"
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:300]

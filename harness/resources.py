"""What the stages of one run share: the resolved model, the data, loaded engines, the judge."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.memory import return_memory
from harness.config import RunConfig
from harness.models import model_cache

if TYPE_CHECKING:
    from harness.data.sources import DataSource
    from harness.engines import BatchEngine
    from harness.models import ResolvedModel
    from judges import Judge, JudgeSettings
    from sso.reward_model import Scorer


class Resources:
    """Opens what a stage asks for, once, and closes it again.

    At most ``config.engine.loaded_models`` engines stay in memory; the one used longest ago goes
    first. What the judge costs is booked under ``run_id``, so that a run that is resumed goes on with
    the budget it had left; without an id each ``Resources`` has a budget of its own.
    """

    def __init__(
        self,
        config: RunConfig,
        model: ResolvedModel,
        data: DataSource,
        log: Callable[[str], None] = lambda text: None,
        run_id: str = "",
    ) -> None:
        self.config = config
        self.model = model
        self.data = data
        self.log = log
        self.run_id = run_id
        self.shards: Mapping[str, Sequence[Path]] = {}
        """Journals of a whole set of shards, by benchmark, that an evaluation begins with."""
        self._engines: OrderedDict[str, BatchEngine] = OrderedDict()
        self._judges: dict[tuple[str, str | None], Judge] = {}

    def engine(self, folder: Path) -> BatchEngine:
        """A text engine on a checkpoint folder; loaded on first use."""
        from harness.engines import open_engine

        self.stop_served_judges()
        key = str(folder.resolve())
        if key in self._engines:
            self._engines.move_to_end(key)
            return self._engines[key]
        while len(self._engines) >= self.config.engine.loaded_models:
            self._close(*self._engines.popitem(last=False))
        self._engines[key] = open_engine(self.config.engine, folder)
        return self._engines[key]

    @contextmanager
    def writer(self) -> Iterator[BatchEngine]:
        """The engine of the model that writes principles, open within the ``with`` only; the other
        models leave memory before it."""
        from harness.engines import open_engine

        settings = self.config.writer
        if settings.model is None:
            raise ValueError("no writer is named")
        self.stop_served_judges()
        self.release()
        if settings.base_url and settings.kind == "auto":
            settings = settings.model_copy(update={"kind": "openai"})
        engine = open_engine(settings, settings.model or "")
        try:
            yield engine
        finally:
            engine.close()
            gc.collect()
            return_memory()

    @contextmanager
    def scorer(self, folder: Path, max_length: int | None = None) -> Iterator[Scorer]:
        """A reward model, alone in memory, within the ``with`` only.

        Raises:
            UserError: the checkpoint is no reward model.
        """
        from sso.reward_model import Scorer

        self.stop_served_judges()
        self.release()
        options = self.config.training.of_step("policy").model_copy(update={"truncation": "cut"})
        given = {} if max_length is None else {"max_length": max_length}
        try:
            yield Scorer(folder, options.model_copy(update=given))
        finally:
            gc.collect()
            return_memory()

    def judge(self, use: str = "") -> Judge:
        """The judge of a use (a benchmark's name, ``pairs``), else the default one; the ``local`` one
        reads the starting policy."""
        name, url = self.config.judge.judge_of(use)
        if (name, url) not in self._judges:
            from judges import JudgeSettings
            from judges.client import ClientSettings

            settings = self.config.judge
            asked = JudgeSettings(
                name,
                url,
                max_cost=settings.max_cost,
                max_calls=settings.max_calls,
                scope=self.run_id,
                prices=Path(settings.prices) if settings.prices else None,
                letters=settings.letters,
                reasoning_effort=settings.reasoning_effort,
                prompts=self.data.find("mt_bench/judge_prompts.jsonl"),
                five_way=self._five_way_prompt(use),
                client=ClientSettings(concurrency=settings.concurrency),
            )
            self._judges[name, url] = self._open_judge(asked)
        judge = self._judges[name, url]
        refresh = getattr(judge, "refresh_budget", None)
        if refresh is not None:  # stages run one after another: the judges share one budget
            refresh()
        return judge

    def _five_way_prompt(self, use: str) -> Path | None:
        """Arena-Hard's own judge prompt, where the run has the benchmark and the data have the prompt."""
        wanted = use == "arena_hard" or "arena_hard" in self.config.benchmarks
        return self.data.find("arena_hard/judge_config.yaml") if wanted else None

    def _open_judge(self, asked: JudgeSettings) -> Judge:
        from harness.reward_judge import RewardJudge, reward_folder
        from harness.served_judge import ServedJudge, served_kind
        from judges import open_judge

        if reward_folder(asked.name) is not None:
            return RewardJudge(asked.name, self.scorer)

        if served_kind(asked.name):
            devices = self.config.engine
            return ServedJudge(asked, verdict_store(), devices, free=self.release, log=self.log)
        engine = LazyEngine(self, self.model.path) if asked.name == "local" else None
        return open_judge(asked, verdict_store(), engine=engine)

    def stop_served_judges(self) -> None:
        """End the servers of judges that this run serves itself; a later verdict starts them again."""
        for judge in self._judges.values():
            stop = getattr(judge, "stop", None)
            if stop is not None:
                stop()

    def judges(self, uses: Iterable[str]) -> dict[str, Judge]:
        """Each judge of these uses once, by name and address, those of a server only."""
        names = {self.config.judge.judge_of(use): use for use in uses}
        return {
            name + (f"@{url}" if url else ""): self.judge(use)
            for (name, url), use in names.items()
            if name != "local"
        }

    def release_model(self, folder: Path) -> None:
        """Close the engine of one checkpoint, before it is removed or made again; others stay open."""
        engine = self._engines.pop(str(folder.resolve()), None)
        if engine is not None:
            engine.close()
            gc.collect()
            return_memory()

    def release(self) -> None:
        """Free the memory of all loaded engines (before training)."""
        while self._engines:
            self._close(*self._engines.popitem())
        gc.collect()
        return_memory()

    def close(self) -> None:
        """Free everything."""
        self.stop_served_judges()
        self.release()

    @staticmethod
    def _close(key: str, engine: BatchEngine) -> None:
        engine.close()


class LazyEngine:
    """An engine that is loaded when it is first asked, and again after it was released."""

    def __init__(self, resources: Resources, folder: Path) -> None:
        self._resources = resources
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resources.engine(self._folder), name)


def verdict_store() -> Path:
    """Where all runs of this user keep their judges' verdicts."""
    return model_cache() / "verdicts.sqlite"

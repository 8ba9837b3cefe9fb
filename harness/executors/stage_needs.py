"""The cores and GPUs that a stage takes."""

from __future__ import annotations

from harness.config import RunConfig
from harness.stage import Stage


def needs(stage: Stage, config: RunConfig, gpus: int) -> tuple[int, int]:
    """CPUs and GPUs of a stage. A training over several nodes waits with none: its processes have them."""
    launch, engine = config.launch, config.engine
    if stage.kind == "train":
        if launch.nodes > 1:
            return 0, 0
        devices = (gpus or 1) if launch.devices == "auto" else int(launch.devices)
        return devices, devices if gpus else 0
    judge, _ = config.judge.judge_of("pairs")
    local_judge = judge == "local" or judge.startswith(("vllm:", "hf:", "reward:"))
    text = stage.kind in ("sample", "eval") and engine.kind not in ("fake", "openai")
    if not gpus or not (text or (stage.kind == "judge" and local_judge)):
        return 1, 0
    if engine.kind == "hf":
        return 1, 1
    copies = engine.data_parallel
    return 1, gpus if copies == "auto" else engine.tensor_parallel * int(copies)

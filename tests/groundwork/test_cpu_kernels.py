"""Leaner modules and gradients that a backward pass adds to ``.grad`` itself, against autograd's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from groundwork import cpu_kernels as kernels
from sso.logprobs import token_logprobs


class Tied(nn.Module):
    """A look-up, a layer and an output layer, with one weight or two."""

    def __init__(self, *, tied: bool, padding: int | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.look_up = nn.Embedding(50, 8, padding_idx=padding)
        self.layer = nn.Linear(8, 8)
        self.head = nn.Linear(8, 50, bias=False)
        if tied:
            self.head.weight = self.look_up.weight

    def loss(self, ids: Tensor) -> Tensor:
        hidden = self.layer(self.look_up(ids[:-1]))
        return token_logprobs(hidden, self.head.weight, ids[1:], chunk_bytes=4 * 50 * 7).sum()


def gradients(model: Tied, batches: list[Tensor], *, in_place: bool) -> dict[str, Tensor]:
    """The sums over some micro-batches."""
    for ids in batches:
        if in_place:
            with kernels.gradients_in_place():
                loss = model.loss(ids)
            loss.backward()
        else:
            model.loss(ids).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [None, 3])
def test_in_place_equals_autograd(tied: bool, padding: int | None) -> None:
    batches = [torch.tensor([3, 7, 7, 1, 3, 49] * 5), torch.tensor([2, 3, 0])]
    expected = gradients(Tied(tied=tied, padding=padding), batches, in_place=False)
    model = Tied(tied=tied, padding=padding)
    assert kernels.speed_up(model) > 0
    found = gradients(model, batches, in_place=True)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-5)


def test_only_where_nothing_waits_for_a_gradient() -> None:
    weight = nn.Parameter(torch.ones(3, 2))
    assert kernels.in_place_gradient(weight) is None
    with kernels.gradients_in_place():
        assert kernels.in_place_gradient(weight * 2) is None
        assert kernels.in_place_gradient(weight.detach()) is None
        total = kernels.in_place_gradient(weight)
        assert total is not None
        assert total is weight.grad
        weight.register_hook(lambda gradient: gradient)
        assert kernels.in_place_gradient(weight) is None


def test_not_in_half_precision() -> None:
    weight = nn.Parameter(torch.ones(3, 2, dtype=torch.bfloat16))
    with kernels.gradients_in_place():
        assert kernels.in_place_gradient(weight) is None


def test_leaner_modules_compute_the_same(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    ids = torch.arange(3, 40)[None]

    def run() -> tuple[Tensor, Tensor]:
        model.zero_grad()
        logits = model(ids).logits
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
        return logits.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    logits, gradient = run()
    assert kernels.speed_up(model) == 3  # two MLPs and the embedding
    lean_logits, lean_gradient = run()
    torch.testing.assert_close(lean_logits, logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lean_gradient, gradient, atol=2e-4, rtol=1e-3)
    kernels.slow_down(model)
    assert torch.equal(run()[0], logits)


def test_another_activation_is_left_alone() -> None:
    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate_proj, self.up_proj = (nn.Linear(4, 8, bias=False) for _ in range(2))
            self.down_proj = nn.Linear(8, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.down_proj(nn.functional.gelu(self.gate_proj(x)) * self.up_proj(x))

    assert kernels.speed_up(nn.Sequential(Mlp())) == 0


def test_products_kept_are_bounded_where_the_user_has_not_said_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    kernels.cache_products(few=True)
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == str(kernels.FEW_CACHED_PRODUCTS)
    assert os.environ["LRU_CACHE_CAPACITY"] == "7"


def test_packed_linear_layers_are_the_same_function(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()
    ids = torch.arange(24).view(2, 12)
    expected = model(ids).logits
    replaced = kernels.pack_linears(model, 64)
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch is built without oneDNN")
    assert replaced == 15  # two layers of seven, and the head
    assert sum(isinstance(module, kernels.PackedLinear) for module in model.modules()) == replaced
    assert torch.allclose(model(ids).logits, expected, atol=1e-5)


def test_half_precision_models_are_not_packed(tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.bfloat16)
    assert kernels.pack_linears(model, 64) == 0

"""Shapes of models: what memory and time depend on, shipped for the presets' models, else from ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from groundwork.errors import UserError, did_you_mean
from groundwork.files import read_json

FILE = Path(__file__).parent / "shapes.yaml"


@dataclass(frozen=True)
class Shape:
    """A decoder: layers, widths in elements, and whether input and output embedding are one tensor."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    biases: bool = False

    @property
    def kv(self) -> int:
        """Width of keys, and of values."""
        return self.kv_heads * self.head_dim

    @property
    def query(self) -> int:
        return self.heads * self.head_dim

    @property
    def layer_weights(self) -> int:
        """Weights of one layer: attention, gated MLP, two norms."""
        attention = 2 * self.hidden * self.query + 2 * self.hidden * self.kv
        biases = self.query + 2 * self.kv if self.biases else 0
        return attention + biases + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def head_weights(self) -> int:
        """Weights of the output layer, as of the input embedding."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        ends = self.head_weights * (1 if self.tied else 2)
        return self.layers * self.layer_weights + ends + self.hidden

    @property
    def linear_ends(self) -> int:
        """Inputs and outputs of a layer's linear modules in all: weights of LoRA per rank and layer."""
        attention = 4 * self.hidden + 2 * self.query + 2 * self.kv
        return attention + 3 * (self.hidden + self.intermediate)


def shape_of(model: str, preset: str = "") -> Shape:
    """The shape of a hub id that is shipped, of a preset's unnamed model, or of a local folder.

    Raises:
        UserError: nothing is known of the model without fetching it.
    """
    known = _known()
    name = model or known["presets"].get(preset, "")
    if name in known["models"]:
        return Shape(**known["models"][name])
    config = Path(name) / "config.json"
    if name and config.is_file():
        return shape_from(read_json(config))
    raise UserError(
        f"the shape of {name or preset!r} is not shipped ({did_you_mean(name, known['models'])}): plan "
        "with a local folder that has its config.json"
    )


def shape_from(config: Mapping[str, Any]) -> Shape:
    """The shape that a ``config.json`` describes.

    Raises:
        UserError: it describes no decoder of the usual form.
    """
    text = config.get("text_config") or config
    try:
        hidden, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
        return Shape(
            layers=int(text["num_hidden_layers"]),
            hidden=hidden,
            intermediate=int(text.get("intermediate_size") or 4 * hidden),
            heads=heads,
            kv_heads=int(text.get("num_key_value_heads") or heads),
            head_dim=int(text.get("head_dim") or hidden // heads),
            vocabulary=int(text["vocab_size"]),
            tied=bool(text.get("tie_word_embeddings", True)),
            biases=str(text.get("model_type", "")).startswith("qwen2"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"config.json describes no decoder whose memory is known: {error}"
        ) from error


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return raw

"""``sso-bench presets``: list them, show one, list the protocols."""

from __future__ import annotations

from typing import Annotated

import typer


def presets(
    name: Annotated[
        str | None, typer.Argument(help="A preset to show in full, or 'protocols'.")
    ] = None,
) -> None:
    """List the presets, show one with all its keys, or list the benchmark protocols."""
    import yaml

    from harness.config import load_config, preset_description, preset_names

    if name is None:
        width = max(len(n) for n in preset_names())
        for preset in preset_names():
            print(f"{preset:<{width}}  {preset_description(preset)}")
    elif name == "protocols":
        _protocols()
    else:
        config = load_config(name).model_dump(mode="json")
        print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), end="")


def _protocols() -> None:
    from harness.benchmarks import all_protocols

    for spec in all_protocols():
        print(f"{spec.name}@{spec.version}: {spec.description}")
        for model, value in spec.reference_points.items():
            print(f"    {model}: {value}")

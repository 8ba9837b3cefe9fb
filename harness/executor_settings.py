"""The executor's section of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from groundwork.records import Section


class ExecutorSettings(Section):
    """Where the stages work; nothing here changes what they compute."""

    kind: Literal["local", "ray"] = Field(
        "local", description="local: this machine; ray: the nodes of a Ray cluster (an extra)"
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="local: stages side by side; GPUs or cores are shared out evenly",
    )
    address: str = Field(
        "auto",
        description="ray: address of the cluster; auto: that of this node, else one is started here",
    )

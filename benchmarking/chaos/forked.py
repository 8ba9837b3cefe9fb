"""Runs a function in a forked child: what it changes in this process stays there, imports are shared."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any


def forked(work: Callable[[], Any], seconds: int = 300) -> Any:
    """What ``work`` returns (JSON-able); ``None`` where the child was killed.

    A child that takes more than ``seconds`` (0: as long as it likes) is killed: it hangs.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        try:
            with os.fdopen(writer, "w") as pipe:
                json.dump(work(), pipe)
        except BaseException:  # whatever it is: the child must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def warm() -> None:
    """Import what every child needs, once."""
    import peft
    import torch
    import transformers

    import harness.experiment
    import leaderboards.render
    import sso.training

    torch.set_num_threads(1)
    assert all((peft, transformers, harness.experiment, leaderboards.render, sso.training))

"""A worker process of ``LocalWorkers``: ``python -m harness.executors.child FD``.

Over one inherited socket an ``Order`` comes in, then ``(stage, wanted)``; ``("say", text)`` and
``("ended", Outcome)`` go out. The process ends cleanly, its claim given back, on SIGTERM and when its parent is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

GRACE_S = 20.0
"""How long the work may take to end."""


def main(descriptor: int) -> int:
    """Run stages until the other side closes the socket."""
    connection = Connection(descriptor)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _end_with_parent()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection)
    return 0


def serve(connection: Connection) -> None:
    """Take stages one after another; a plan that can't be made here fails each of them with its reason."""
    from groundwork.errors import UserError
    from harness.executors.order import OrderedStages, Told
    from harness.stage_runner import Outcome

    order = connection.recv()
    refused, stages = "", None
    try:
        stages = OrderedStages(order, Told(lambda text: connection.send(("say", text))))
    except UserError as error:
        refused = str(error)
    try:
        while True:
            stage, wanted = connection.recv()
            if stages is None:
                connection.send(("ended", Outcome(stage, "failed", error=refused)))
            else:
                connection.send(("ended", stages.attempt(stage, wanted, _traceback)))
    finally:
        if stages is not None:
            stages.close()


def _traceback() -> str:
    """Standard error is this process's log."""
    traceback.print_exc()
    return os.environ.get("SSO_BENCH_WORKER_LOG", "its log")


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

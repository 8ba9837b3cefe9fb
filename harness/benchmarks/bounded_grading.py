"""Extraction in a forked process that can be killed: a pattern that explodes on some answer costs that
answer, never the run. Graders with processes of their own (MATH, IFEval) don't need it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection

import psutil

from groundwork.deferred_signals import signals_deferred
from harness.benchmarks.aggregate import Answer, Grade
from harness.benchmarks.grader_processes import PATIENCE, bound_memory

Grading = Callable[[Sequence[Answer]], Sequence[Grade]]
SECONDS = 2.0
"""CPU time for one answer."""
TOGETHER = 256
"""Answers graded in one go; when they exceed the bound together, each is graded alone."""
POLL_SECONDS = 0.1


def grade_bounded(
    grade: Grading, answers: Sequence[Answer], *, seconds: float = SECONDS
) -> list[Grade]:
    """The grade of each answer, in order. One that takes more than ``seconds`` of CPU time, too much
    memory, or breaks the grader has no value and an error.

    Raises:
        Exception: what ``grade`` raises on an empty answer, as for a wrong setting.
    """
    if not answers:
        return []
    grade([replace(answers[0], text="", logprobs=())])  # loads what the forked process then has
    child = _Child(grade, answers)
    try:
        grades: list[Grade] = []
        for start in range(0, len(answers), TOGETHER):
            numbers = range(start, min(start + TOGETHER, len(answers)))
            together = child.ask(numbers, seconds)
            if isinstance(together, str):
                alone = [child.ask(range(k, k + 1), seconds) for k in numbers]
                together = [
                    Grade({}, error=one) if isinstance(one, str) else one[0] for one in alone
                ]
            grades += together
        return grades
    finally:
        child.stop()


class _Child:
    """A fork of this process that grades ranges of the answers."""

    def __init__(self, grade: Grading, answers: Sequence[Answer]) -> None:
        self._grade, self._answers = grade, answers
        self._start()

    def _start(self) -> None:
        context = get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=self._work, args=(there,), daemon=True)
        with signals_deferred():
            self._process.start()
        there.close()

    def _work(self, there: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._here.close()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.__stdout__.fileno() if sys.__stdout__ else 1)
        os.dup2(null, 2)
        bound_memory()
        while True:
            numbers: range = there.recv()
            try:
                found: object = list(self._grade(self._answers[numbers.start : numbers.stop]))
            except Exception as error:  # a pattern may raise anything on free text
                found = f"grading failed: {type(error).__name__}"
            there.send(found)

    def ask(self, numbers: range, seconds: float) -> list[Grade] | str:
        """The grades of these answers, or what went wrong with all of them together."""
        self._here.send(numbers)
        used, deadline = self._cpu_seconds(), time.monotonic() + PATIENCE * seconds
        try:
            while not self._here.poll(POLL_SECONDS):
                if self._cpu_seconds() - used > seconds or time.monotonic() > deadline:
                    self.stop()
                    self._start()
                    return f"grading took more than {seconds:g} s of CPU time"
            found: list[Grade] | str = self._here.recv()
        except (EOFError, OSError, psutil.NoSuchProcess):
            self.stop()
            self._start()
            return "the grader died"
        return found

    def _cpu_seconds(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self._here.close()

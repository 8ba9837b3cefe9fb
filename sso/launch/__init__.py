"""Trainings in processes of their own: one per device, also where there is one.

Inputs: what ``sso.training.train`` takes, and ``sso.settings.LaunchSettings``. Output: the same result, or the
error of the process that failed. When the processes have ended, all of their memory is free.
``launch`` writes a job file, starts ``sso.launch.process`` with it, and waits; ``fsdp.yaml``, ``zero2.yaml`` and
``zero3.yaml`` are for one's own scripts under ``accelerate launch``.
"""

from sso.launch.launch import launch
from sso.launch.layout import Layout, find_layout

__all__ = ["Layout", "find_layout", "launch"]

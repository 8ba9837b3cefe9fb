"""The ground floor: what every room needs and none owns.

``errors`` (one ``UserError`` with "did you mean"), ``files`` (atomic writing, JSON lines with file and
line in every error, checksums), ``records`` (pydantic bases and their files), ``conversations`` (prompts
and preference pairs as files have them), ``reasoning``, ``stage_result``, ``sampling_params``,
``seeds``, ``memory``, ``chat_tokens``, ``attention``, ``rope``, ``randomness`` and ``cpu_kernels`` (of models). Imports nothing of this project.
"""

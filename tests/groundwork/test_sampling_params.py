from __future__ import annotations

from groundwork.sampling_params import SamplingParams


def test_temperature_zero_is_greedy_and_the_default() -> None:
    assert SamplingParams(8).greedy
    assert not SamplingParams(8, temperature=0.1).greedy


def test_empty_stop_strings_would_end_every_text_and_are_left_out() -> None:
    assert SamplingParams(8, stop=("", "###", "")) == SamplingParams(8, stop=("###",))

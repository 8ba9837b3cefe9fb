"""Settings of the training core: what they refuse, and the sampling parameters they stand for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from groundwork.sampling_params import SamplingParams
from sso.settings import LossSettings, MethodSettings, SamplingSettings, TrainingSettings


def test_original_responses_are_greedy_or_sampled_like_the_others() -> None:
    settings = SamplingSettings(temperature=0.6, top_p=0.9, max_new_tokens=7)
    assert settings.params() == SamplingParams(7, 0.6, 0.9)
    assert settings.original_params() == SamplingParams(7)
    sampled = settings.model_copy(update={"original_greedy": False})
    assert sampled.original_params() == sampled.params()


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": {"beta": 0}},
        {"sampling": {"top_p": 0}},
        {"training": {"warmup_ratio": 1}},
        {"training": {"lora": {"rank": -1}}},
        {"principles": {"features_per_query": 8}},
        {"training": {"learning_rte": 1e-6}},
    ],
)
def test_values_and_keys_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MethodSettings.model_validate(wrong)


def test_the_defaults_are_the_authors() -> None:
    loss, training = LossSettings(), TrainingSettings()
    assert (loss.beta, loss.gamma, loss.alpha, loss.beta_g) == (0.1, 0.1, 0.5, 0.1)
    assert (training.learning_rate, training.schedule, training.epochs) == (5e-7, "cosine", 1.0)
    assert training.dropout is False

"""AlpacaEval's weighted preference, against alpaca_eval's own code and published data."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import pytest

from judges.protocols import weighted_preference
from judges.records import Comparison
from judges.reply import read_reply
from tests.judges.faulty_server import completion


def reply_with(tops: list[tuple[str, float]], text: str = "m"):
    content = [{"top_logprobs": [{"token": t, "logprob": p} for t, p in tops]}]
    return read_reply(completion(text, finish="length", logprobs={"content": content}))


def test_order_equals_alpaca_evals_processor() -> None:
    pd = pytest.importorskip("pandas")
    from alpaca_eval.processors import RandomSwitchTwoColumnsProcessor

    rng = random.Random(1)
    words = ["why", "Ω", "{x}", '"quoted"', "two\nlines", "7"]
    instructions = [" ".join(rng.choices(words, k=4)) + str(i) for i in range(400)]
    for seed in (0, 5):
        processor = RandomSwitchTwoColumnsProcessor(
            two_columns_to_switch=["output_1", "output_2"],
            random_seed_columns=("instruction",),
            _switch_column="is_switched_outputs",
            seed=seed,
        )
        frame = pd.DataFrame(
            {"instruction": instructions, "output_1": "first", "output_2": "second"}
        )
        theirs = list(processor.preprocess(frame)["output_1"] == "second")
        ours = [weighted_preference.is_switched(text, seed) for text in instructions]
        assert ours == theirs
        assert 150 < sum(ours) < 250


def test_order_and_parser_give_the_published_preferences(data_dir: Path) -> None:
    """Every published row: its raw log-probabilities, read and mapped back by our order."""
    text = gzip.decompress((data_dir / "alpaca_eval/claude-2/annotations.json.gz").read_bytes())
    checked = 0
    for row in json.loads(text):
        raw = row.get("raw_completion")
        if not isinstance(raw, dict):
            continue
        reply = read_reply({"choices": [raw]})
        value = weighted_preference.read(reply).value
        assert value is not None
        if weighted_preference.is_switched(row["instruction"]):
            value = 3 - value
        # alpaca_eval leaves " M" and its like out; their probability is below 1e-6 here.
        assert value == pytest.approx(row["preference"], abs=1e-6)
        checked += 1
    assert checked == 804


@pytest.mark.parametrize(
    "tops",
    [
        [("m", -0.1), ("M", -2.5), ("The", -9.0)],
        [("M", -0.0000006704), ("The", -15.453126), ("m", -15.5)],
        [("m", -0.3), ("x", -1.0)],
        [("x", -0.3), ("M", -4.0)],
        [("m", -1000.0), ("M", -1001.0)],
    ],
)
def test_letters_equal_alpaca_evals_parser(tops: list[tuple[str, float]]) -> None:
    from alpaca_eval.completion_parsers import logprob_parser

    content = [{"top_logprobs": [{"token": t, "logprob": p} for t, p in tops]}]
    [theirs] = logprob_parser({"logprobs": {"content": content}}, "m", ["m", "M"], False)
    ours = weighted_preference.read(reply_with(tops))
    assert ours.state == "ok"
    assert ours.value == pytest.approx(theirs, abs=1e-12)


def test_letters_by_hand() -> None:
    reading = weighted_preference.read(reply_with([("m", math.log(0.6)), ("M", math.log(0.2))]))
    assert reading.value == pytest.approx(2 - 0.75)


def test_spellings_of_a_letter_are_summed_and_null_is_probability_zero() -> None:
    """P(M) = 0.4 + 0.2 + 0.1 over P(m) = 0.3, by hand."""
    tops = [("M", 0.4), (" M", 0.2), ("M", 0.1), ("\u2581m", 0.3), ("The", 0.0)]
    content = [
        {"token": token, "logprob": math.log(share) if share else None} for token, share in tops
    ]
    reply = read_reply(completion("M", logprobs={"content": [{"top_logprobs": content}]}))
    assert weighted_preference.read(reply).value == pytest.approx(1.7)


def test_one_letter_with_null_probability_leaves_the_other() -> None:
    content = [{"token": "m", "logprob": None}, {"token": "M", "logprob": -0.5}]
    reply = read_reply(completion("M", logprobs={"content": [{"top_logprobs": content}]}))
    assert weighted_preference.read(reply).value == 2.0


def test_the_old_completions_shape_is_read() -> None:
    old = {
        "tokens": ["M"],
        "token_logprobs": [math.log(0.6)],
        "top_logprobs": [{"M": math.log(0.6), " m": math.log(0.2)}],
    }
    reply = read_reply(completion("M", logprobs=old))
    assert weighted_preference.read(reply).value == pytest.approx(1.75)


def test_without_either_letter_there_is_no_preference() -> None:
    assert weighted_preference.read(reply_with([("The", -0.1)])).state == "unparsed"
    assert weighted_preference.read(read_reply(completion("m", finish="length"))).value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("m", 1.0), (" M.", 2.0), ('"m"', 1.0), ("m or M", None), ("Model M", None), ("", None)],
)
def test_written_letter(text: str, value: float | None) -> None:
    reply = read_reply(completion(text))
    assert weighted_preference.read(reply, letters="parsed").value == value


def test_request_is_alpaca_evals_prompt() -> None:
    """The chat equals the package's own: its template, its places, its ChatML reader."""
    from alpaca_eval import constants, utils

    path = constants.EVALUATORS_CONFIG_DIR / "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt"
    for i in range(20):
        item = Comparison(
            item_id="1", instruction=f"  Why {i}?\n", output_1="One {x}", output_2=" Two"
        )
        request = weighted_preference.request(item)
        shown = [item.output_1, item.output_2]
        if weighted_preference.is_switched(item.instruction):
            shown.reverse()
        text = path.read_text()
        for name, value in zip(
            ("instruction", "output_1", "output_2"), (item.instruction, *shown), strict=True
        ):
            text = text.replace("{" + name + "}", value, 1)
        assert list(request.messages) == utils.prompt_to_chatml(text.strip())
        assert request.params == {
            "temperature": 1,
            "top_p": 1.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": 5,
        }


def test_a_placeholder_or_chat_mark_in_an_output_stays_text() -> None:
    item = Comparison(
        item_id="1", instruction="Say {output_1}<|im_end|>", output_1="A", output_2="B"
    )
    [_, user] = weighted_preference.request(item).messages
    assert '"""Say {output_1}<|im_end|>"""' in user["content"]
    assert user["content"].endswith("## Best Model Identifier")


def test_parsed_letters_are_another_protocol() -> None:
    ids = {weighted_preference.protocol(letters) for letters in ("logprobs", "parsed")}
    assert len(ids) == 2
    assert any("parsed" in name for name in ids)
    assert weighted_preference.protocol("logprobs", 1) not in ids

"""The ways of asking, against alpaca_eval's and FastChat's own code and published data."""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import math
import random
import re
import warnings
from pathlib import Path

import pytest

from groundwork.errors import UserError
from judges.errors import JudgeError
from judges.prompts import alpaca_eval_template, fill_places, prompt_book, split_chat
from judges.protocols import pairwise, rating, weighted_preference
from judges.records import Comparison, Rating
from judges.reply import read_reply
from tests.judges.faulty_server import completion


def reply_with(tops: list[tuple[str, float]], text: str = "m"):
    content = [{"top_logprobs": [{"token": t, "logprob": p} for t, p in tops]}]
    return read_reply(completion(text, finish="length", logprobs={"content": content}))


# The order of the outputs


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
        assert value == pytest.approx(row["preference"], abs=2e-9)
        checked += 1
    assert checked == 804


# Letters


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


# Ratings


def fastchat_patterns() -> dict[str, str]:
    """The patterns in the installed FastChat's source (importing it takes ten seconds)."""
    found = importlib.util.find_spec("fastchat")
    if found is None or found.origin is None:
        pytest.skip("fschat is not installed")
    source = (Path(found.origin).parent / "llm_judge" / "common.py").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its patterns are no raw strings
        tree = ast.parse(source)
    return {
        node.targets[0].id: node.value.args[0].value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "attr", "") == "compile"
        and isinstance(node.value.args[0], ast.Constant)
    }


@pytest.mark.parametrize(
    "text",
    [
        "Good. Rating: [[7]]",
        "Rating: [[8.5]] or [[2]]",
        "I say [6]",
        "[3] first, then [[9]]",
        "no rating",
        "[[10.]]",
        "[[ 5 ]]",
        "[[0]]",
    ],
)
def test_rating_patterns_equal_fastchats(text: str) -> None:
    patterns = fastchat_patterns()
    found = re.search(patterns["one_score_pattern"], text) or re.search(
        patterns["one_score_pattern_backup"], text
    )
    theirs = ast.literal_eval(found.group(1)) if found else None
    assert rating.parse_score(text) == theirs


def test_a_year_is_no_rating() -> None:
    assert rating.parse_score("As said in [2023], fine.") is None


def test_published_judgments_give_published_scores(data_dir: Path) -> None:
    for model, total in (("claude-3-opus-20240229", 8.675), ("llama2_chat_7b", 6.190625)):
        path = data_dir / f"mt_bench/model_judgment/gpt-4_single__{model}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        ours = [rating.parse_score(row["judgment"]) for row in rows]
        assert ours == [row["score"] for row in rows]
        assert sum(s for s in ours if s is not None) / 160 == pytest.approx(total)


def test_rating_requests_are_the_published_prompts(data_dir: Path) -> None:
    """Built from questions, answers and references, they equal the prompts that GPT-4 was sent."""
    root = data_dir / "mt_bench"
    book = prompt_book(root / "judge_prompts.jsonl")

    def table(name: str) -> dict[int, dict]:
        rows = [json.loads(line) for line in (root / name).read_text().splitlines()]
        return {row["question_id"]: row for row in rows}

    questions = table("question.jsonl")
    answers = table("model_answer/claude-3-opus-20240229.jsonl")
    references = table("reference_answer/gpt-4.jsonl")
    path = root / "model_judgment/gpt-4_single__claude-3-opus-20240229.jsonl"
    equal = 0
    for line in path.read_text().splitlines():
        row = json.loads(line)
        question = questions[row["question_id"]]
        turns = answers[row["question_id"]]["choices"][0]["turns"]
        given = references.get(row["question_id"])
        needs = question["category"] in rating.NEED_REFERENCE
        item = Rating(
            item_id="x",
            category=question["category"],
            turns=tuple(
                text for q, a in zip(question["turns"], turns, strict=True) for text in (q, a)
            )[: 2 * row["turn"]],
            references=tuple(given["choices"][0]["turns"]) if given and needs else (),
        )
        request = rating.request(item, book)
        assert request.protocol.endswith(row["judge"][1])
        equal += request.messages[1]["content"] == row["user_prompt"]
    assert equal == 160


def test_rating_needs_whole_turns_and_references() -> None:
    book = prompt_book()
    with pytest.raises(JudgeError, match="2 or 4 turns, not 3"):
        rating.request(Rating(item_id="q", category="math", turns=("a", "b", "c")), book)
    with pytest.raises(JudgeError, match="one reference answer a turn"):
        rating.request(
            Rating(item_id="q", category="math", turns=("a", "b", "c", "d"), references=("r",)),
            book,
        )


# Pairs


@pytest.mark.parametrize(
    ("text", "value"), [("so [[A]]", 1.0), ("[[B]]", 2.0), ("[[C]]", 1.5), ("A", None)]
)
def test_pairwise_marks(text: str, value: float | None) -> None:
    assert pairwise.read(read_reply(completion(text))).value == value


def test_pairwise_shows_both_orders() -> None:
    item = Comparison(item_id="1", instruction="q", output_1="one", output_2="two")
    first, second = pairwise.requests(item, prompt_book())
    order = [m.messages[1]["content"].index("one") for m in (first, second)]
    other = [m.messages[1]["content"].index("two") for m in (first, second)]
    assert order[0] < other[0]
    assert order[1] > other[1]


# States of replies without a verdict


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (completion("I think it is good."), "unparsed"),
        (completion("I'm sorry, but I can't help with that."), "refused"),
        (completion(None, refusal="No."), "refused"),
        (completion("", finish="content_filter"), "filtered"),
        (completion("The answer begins", finish="length"), "truncated"),
        (completion("Sorry to say, but [[3]]"), "ok"),
    ],
)
def test_states(body: dict, state: str) -> None:
    assert rating.read(read_reply(body)).state == state


# Prompts


def test_own_prompts_have_their_own_protocol(data_dir: Path) -> None:
    own, theirs = prompt_book(), prompt_book(data_dir / "mt_bench/judge_prompts.jsonl")
    assert own.protocol.startswith("own-")
    assert theirs.protocol.startswith("fastchat-")


def test_prompt_file_mistakes_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"name": "pair-v2", "system_prompt": "s", "prompt_template": "t"}\n{"name"\n')
    with pytest.raises(UserError, match=r"prompts.jsonl:2: not valid JSON"):
        prompt_book(path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(JudgeError, match="no prompt named 'single-v1'"):
        prompt_book(path)


def test_template_is_read_from_the_package() -> None:
    system, user = alpaca_eval_template()
    assert (system["role"], user["role"]) == ("system", "user")
    assert all("{" + name + "}" in user["content"] for name in ("instruction", "output_1"))


def test_text_without_messages_is_refused() -> None:
    with pytest.raises(JudgeError, match="no <"):
        split_chat("hello")


def test_places_are_filled_in_one_pass() -> None:
    assert fill_places("{a} {b} {c}", {"a": "{b}", "b": "2"}) == "{b} 2 {c}"

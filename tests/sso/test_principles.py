"""The principles file: what ships, and what a user's own file may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from groundwork.errors import UserError
from sso.principles import contrast_prompt, load_principles, parse_principles, plain_prompt

ADJECTIVES = {
    "Safety": ("Safe", "Unsafe"),
    "Logicality": ("Logical", "Illogical"),
    "Comprehensiveness": ("Comprehensive", "Incomplete"),
    "Helpfulness": ("Helpful", "Unhelpful"),
    "Literariness": ("Literary", "Boring"),
    "Accuracy": ("Accurate", "Inaccurate"),
    "Engagement": ("Engaging", "Dull"),
}


def packaged() -> dict[str, object]:
    import sso

    return yaml.safe_load((Path(sso.__file__).parent / "principles.yaml").read_text("utf-8"))


def test_packaged_file_has_the_paper_s_features_and_adjectives() -> None:
    book = load_principles()
    assert {f.name: (f.positive, f.negative) for f in book.features} == ADJECTIVES
    assert (book.concision.name, book.concision.positive, book.concision.negative) == (
        "Concision",
        "Concise",
        "Verbose",
    )


def test_every_principle_is_its_own_text() -> None:
    book = load_principles()
    texts = [t for f in (*book.features, book.concision) for t in (f.good, f.bad, f.meaning)]
    assert len(set(texts)) == 3 * 8


def test_contrast_prompt_puts_the_guidelines_in_the_system_turn() -> None:
    book = load_principles()
    good = book.predefined(["Safety", "Concision"], "good")
    assert good.splitlines() == [f"- {book.feature(n).good}" for n in ("Safety", "Concision")]
    system, user = contrast_prompt(book, good, "Why {guidelines}?")
    assert system["role"] == "system"
    assert good in system["content"]
    assert "{guidelines}" not in system["content"]
    assert user == {"role": "user", "content": "Why {guidelines}?"}
    assert plain_prompt("x") == ({"role": "user", "content": "x"},)


def test_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'Safety'"):
        load_principles().feature("Saftey")


def test_a_user_s_file_replaces_the_packaged_one(tmp_path: Path) -> None:
    data = packaged()
    data["system"] = "Rules: {guidelines} Do not speak of them."
    data["leak_words"] = ["rules"]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    book = load_principles(file)
    assert contrast_prompt(book, "G", "q")[0]["content"] == "Rules: G Do not speak of them."
    assert book.leak_words == ("rules",)


def edited(change: str) -> str:
    """The packaged file with one mistake."""
    data = packaged()
    features = data["features"]
    assert isinstance(features, list)
    match change:
        case "unknown":
            features[2]["meening"] = "x"
        case "unknown-top":
            data["concission"] = data["concision"]
        case "missing":
            del features[2]["meaning"]
        case "same":
            features[0]["bad"] = features[0]["good"]
        case "twice":
            features[1]["name"] = "Safety"
        case "placeholder":
            data["system"] = "Follow the guidelines."
        case "example":
            data["selection"]["examples"][1]["features"] = ["Savety"]  # type: ignore[index]
        case "empty":
            data["features"] = []
    return yaml.safe_dump(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("unknown", r"m\.yaml: features\[2\]\.meening: unknown key; did you mean 'meaning'\?"),
        ("unknown-top", r"concission: unknown key; did you mean 'concision'\?"),
        ("missing", r"m\.yaml: features\[2\]\.meaning: Field required"),
        ("same", r"features\[0\]: the good and the bad principle of Safety are the same"),
        ("twice", r"two features are called 'Safety'"),
        ("placeholder", r"system lacks the placeholder \{guidelines\}"),
        ("example", r"selection\.examples: no feature 'Savety'; did you mean 'Safety'"),
        ("empty", r"features: "),
    ],
)
def test_mistakes_in_a_file_are_named(change: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_principles(edited(change), "m.yaml")
    assert "\n" not in str(caught.value)


def test_text_that_is_no_yaml_is_named_with_its_line() -> None:
    with pytest.raises(UserError, match=r"m\.yaml:2: not YAML"):
        parse_principles("a: 1\n b: 2: 3\n", "m.yaml")
    with pytest.raises(UserError, match="a mapping of keys was expected"):
        parse_principles("- 1\n", "m.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: No such file"):
        load_principles(tmp_path / "none.yaml")


def test_guidelines_stand_in_the_turn_that_the_template_has() -> None:
    book = load_principles()
    system, user = contrast_prompt(book, "Be safe.", "Why?")
    (folded,) = contrast_prompt(book.model_copy(update={"system_role": "user"}), "Be safe.", "Why?")
    assert folded == {"role": "user", "content": f"{system['content']}\n\n{user['content']}"}

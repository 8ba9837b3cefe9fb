"""Texts of the report."""

from leaderboards.report.texts import as_text, shortened, step_of, thinned


def test_texts_of_chats_and_long_texts():
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert as_text(chat) == "[user]\nhi\n\n[assistant]\nho"
    assert as_text(["one", "two"]) == "one\n\ntwo"
    assert as_text(None) == ""
    short = shortened("a" * 50 + "b" * 50, limit=20)
    assert short == "a" * 10 + "\n[... 80 characters left out ...]\n" + "b" * 10


def test_what_does_not_fit_is_thinned():
    assert [step_of(total, 100) for total in (0, 100, 101, 350)] == [1, 1, 2, 4]
    assert thinned(1, "item") == []
    assert thinned(4, "item") == ["To keep the page small, every 4th item is shown here."]

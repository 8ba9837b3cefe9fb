"""The HTML report: its content as text, and its behaviour in a real Chromium."""

import json
import os
import re
from pathlib import Path

import pytest

from groundwork.errors import UserError
from leaderboards.report import write_report
from leaderboards.report.items import as_text, collect, shortened
from leaderboards.report.page import embedded
from leaderboards.runs import read_run
from tests.leaderboards.browser import Browser, missing
from tests.leaderboards.example_runs import add_eval, demo_run, start_run

SECTIONS = ["overview", "tables", "plots", "items", "comparability", "judge", "costs", "settings"]
HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
    "<svg onload=window.hacked=3>'\"`${window.hacked=4}<!--<script>]]>&lt;b&gt;"
    "<a href=javascript:window.hacked=5>x</a>\u2028\u2029\x00"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return demo_run(tmp_path_factory.mktemp("runs"), text="A zebra & <b>two</b> apples.")


@pytest.fixture(scope="module")
def page(run):
    return write_report([run], run.parent / "report.html")


@pytest.fixture(scope="module")
def browser():
    if reason := missing():
        pytest.skip(reason)
    with Browser() as started:
        yield started


def test_every_section_is_there_and_nothing_is_loaded(page):
    text = page.read_text()
    assert re.findall(r'<section id="(\w+)">', text) == SECTIONS
    without_namespaces = re.sub(
        r'xmlns(:\w+)?="[^"]*"|<!DOCTYPE[^>]*>|<rdf:RDF.*?</rdf:RDF>', "", text, flags=re.S
    )
    body = re.sub(
        r'<script type="application/json".*?</script>', "", without_namespaces, flags=re.S
    )
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:|//)""", body) == []
    assert page.stat().st_size < 5_000_000


def test_model_text_is_only_data(page):
    text = page.read_text()
    assert "zebra" in text
    assert "<b>two</b>" not in text
    assert r"\u003cb\u003etwo" in text


def test_embedded_json_comes_back_and_cannot_end_its_element():
    text = embedded({"x": HOSTILE})
    assert json.loads(text)["x"] == HOSTILE
    assert "<" not in text
    assert "\u2028" not in text


def test_gated_text_never_enters_the_page(tmp_path):
    run = demo_run(tmp_path, arms=("sso",), iterations=1, marks=())
    data, remarks = collect([read_run(run)])
    assert remarks == ["gpqa: texts are withheld (gated)."]
    assert data["gpqa"]["checkpoints"]["base"]["item-0"].keys() == {"v"}
    assert "GATED-TEXT" not in write_report([run], tmp_path / "r.html").read_text()


def test_alpaca_prompts_come_from_the_annotations(tmp_path):
    run = start_run(tmp_path)
    outputs = [{"item_id": "item-0", "output": "mine"}, {"item_id": "item-1", "output": "too"}]
    folder = add_eval(run, "alpaca_eval", [0.5, 0.7], metric="lc_win_rate", outputs=outputs)
    rows = [{"instruction": f"do {i}", "output_1": f"theirs {i}", "output_2": "x"} for i in (0, 1)]
    (folder / "annotations.json").write_text(json.dumps(rows))
    data, _ = collect([read_run(run)])
    assert data["alpaca_eval"]["prompts"]["item-1"] == "do 1\n\n[the baseline's answer]\ntheirs 1"
    assert data["alpaca_eval"]["checkpoints"]["base"]["item-0"]["a"] == "mine"


def test_pairs_and_judgments_are_shown(tmp_path):
    run = start_run(tmp_path)
    add_eval(
        run,
        "pair_accuracy",
        [1, 0],
        ids=["q1/policy", "q2/policy"],
        arm="sso",
        iteration=1,
        folder=".",
    )
    pairs = run / "sso" / "iter-1" / "pairs"
    pairs.mkdir()
    row = {
        "id": "q1/policy",
        "prompt": [{"role": "user", "content": "hi"}],
        "chosen": "good",
        "rejected": "bad",
    }
    (pairs / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    ids = ["mt_bench/7/turn-1", "mt_bench/7/turn-2"]
    outputs = [{"item_id": item, "question": "Why?", "output": "Because."} for item in ids]
    folder = add_eval(
        run, "mt_bench", [4.0, 6.0], ids=ids, metric="average", unit="points", outputs=outputs
    )
    (folder / "model_judgment").mkdir()
    judged = {"question_id": 7, "turn": 2, "judgment": "Too short. [[6]]"}
    (folder / "model_judgment" / "gpt-4_single.jsonl").write_text(json.dumps(judged) + "\n")
    data, _ = collect([read_run(run)])
    shown = data["pair_accuracy"]["checkpoints"]["SSO 1"]
    assert shown["q1/policy"]["a"] == "[chosen]\ngood\n\n[rejected]\nbad"
    assert data["pair_accuracy"]["prompts"] == {"q1/policy": "[user]\nhi"}
    rated = data["mt_bench"]["checkpoints"]["base"]
    assert rated[ids[1]] == {"v": {"average": 6.0}, "a": "Because.", "j": "Too short. [[6]]"}
    assert "j" not in rated[ids[0]]
    assert data["mt_bench"]["metric"] == "average"


def test_the_headline_metric_decides_what_changed(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0], metric="strict_match")
    items = (folder / "items.jsonl").read_text()
    (folder / "items.jsonl").write_text(
        items.replace('"strict_match":', '"flexible":1.0,"strict_match":')
    )
    data, _ = collect([read_run(run)])
    assert data["gsm8k"]["metric"] == "strict_match"


def test_texts_of_chats_and_long_texts():
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert as_text(chat) == "[user]\nhi\n\n[assistant]\nho"
    assert as_text(["one", "two"]) == "one\n\ntwo"
    assert as_text(None) == ""
    short = shortened("a" * 50 + "b" * 50, limit=20)
    assert short == "a" * 10 + "\n[... 80 characters left out ...]\n" + "b" * 10


def test_a_large_run_stays_small_and_says_so(tmp_path):
    run = start_run(tmp_path)
    for iteration in range(4):
        rows = [
            {"item_id": f"item-{i}", "prompt": "p", "output": "word " * 1100} for i in range(300)
        ]
        arm = "sso" if iteration else "base"
        add_eval(run, "gsm8k", [1, 0] * 150, arm=arm, iteration=iteration, outputs=rows)
    page = write_report([run], tmp_path / "r.html")
    assert page.stat().st_size < 5_000_000
    assert "every second item is shown here" in page.read_text()


def test_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can.t be written: "):
        write_report([run], tmp_path / "file" / "r.html")


def keep(browser, name):
    """Keeps a screenshot where SSO_BENCH_SCREENSHOTS says."""
    if folder := os.environ.get("SSO_BENCH_SCREENSHOTS"):
        browser.screenshot(Path(folder) / f"{name}.png")


def test_sections_are_visible_and_the_console_is_clean(browser, page):
    browser.open(page)
    heights = browser.run(
        "return [...document.querySelectorAll('section')].map(s => [s.id, s.offsetHeight])"
    )
    assert [name for name, _ in heights] == SECTIONS
    assert all(height > 60 for _, height in heights)
    assert browser.run("return document.querySelectorAll('.plot svg').length") == 5
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.console() == []
    keep(browser, "light")


def column(browser, label):
    """Texts of a column of the first table, top to bottom."""
    return browser.run(
        "const t = document.querySelector('#tables table');"
        "const i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent.startsWith(arguments[0]));"
        "return [...t.tBodies[0].rows].filter(r => !r.classList.contains('group'))"
        ".map(r => r.cells[i].dataset.value ?? r.cells[i].textContent.trim())",
        label,
    )


def click_head(browser, label):
    browser.run(
        "[...document.querySelectorAll('#tables table')[0].tHead.rows[0].cells]"
        ".find(c => c.textContent.startsWith(arguments[0])).click()",
        label,
    )


def test_tables_sort_by_number_and_by_text(browser, page):
    browser.open(page)
    before = column(browser, "MATH")
    click_head(browser, "MATH")
    falling = [float(value) for value in column(browser, "MATH")]
    assert falling == sorted(map(float, before), reverse=True)
    click_head(browser, "MATH")
    assert [float(value) for value in column(browser, "MATH")] == falling[::-1]
    click_head(browser, "Method")
    names = column(browser, "Method")
    assert names == sorted(names, key=str.lower)
    assert len(names) == 10
    click_head(browser, "Pair acc.")  # base has none: it stays last
    assert column(browser, "Pair acc.")[-1] == "-"


def set_control(browser, name, value):
    browser.run(
        "const c = document.getElementById(arguments[0]); c.value = arguments[1];"
        "c.dispatchEvent(new Event(arguments[0] === 'search' ? 'input' : 'change'))",
        name,
        value,
    )


def test_items_are_searched_filtered_and_shown_side_by_side(browser, page):
    browser.open(page)
    set_control(browser, "benchmark", "gsm8k")
    set_control(browser, "left", "base")
    set_control(browser, "right", "SSO 3")
    assert browser.run("return document.getElementById('count').textContent") == "24 of 24 items"
    heads = browser.run(
        "return [...document.querySelectorAll('.sides h4')].map(h => h.textContent)"
    )
    assert heads == ["base", "SSO 3"]
    detail = browser.run("return document.getElementById('detail').textContent")
    assert "Question 0 of gsm8k" in detail
    assert "sso 3 says" in detail
    assert "A zebra & <b>two</b> apples." in detail
    set_control(browser, "search", "question 17 of")
    assert browser.run("return document.getElementById('count').textContent") == "1 of 24 items"
    marked = browser.run("return document.querySelector('#detail mark').textContent")
    assert marked == "Question 17 of"
    browser.run("document.getElementById('items').scrollIntoView()")
    keep(browser, "items")
    set_control(browser, "search", "")
    set_control(browser, "filter", "better")
    better = int(browser.run("return document.getElementById('count').textContent").split()[0])
    set_control(browser, "filter", "worse")
    worse = int(browser.run("return document.getElementById('count').textContent").split()[0])
    set_control(browser, "filter", "changed")
    changed = int(browser.run("return document.getElementById('count').textContent").split()[0])
    assert better + worse == changed > 0
    set_control(browser, "search", "no such words")
    assert "No item fits" in browser.run("return document.getElementById('detail').textContent")


def background(browser):
    return browser.run("return getComputedStyle(document.body).backgroundColor")


def test_dark_light_and_print(browser, page):
    browser.open(page)
    browser.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert background(browser) == "rgb(20, 24, 29)"
    browser.run("document.getElementById('plots').scrollIntoView()")
    keep(browser, "dark")
    browser.run("document.getElementById('theme').click()")
    assert background(browser) == "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", media="print")
    hidden = browser.run("return getComputedStyle(document.getElementById('items')).display")
    assert hidden == "none"
    for theme in ("dark", "light", ""):
        browser.run("document.documentElement.dataset.theme = arguments[0]", theme)
        assert background(browser) == "rgb(255, 255, 255)", "paper is white whatever the theme"
    pdf = browser.send("Page.printToPDF")["data"]
    assert len(pdf) > 50_000
    browser.send("Emulation.setEmulatedMedia", media="", features=[])


def test_injected_scripts_do_not_run(browser, tmp_path):
    run = demo_run(tmp_path, f"n{HOSTILE[:20].replace('/', '')}", arms=("sso",), iterations=1, text=HOSTILE,
                   marks=(HOSTILE,), model=HOSTILE, config={"x": HOSTILE})  # fmt: skip
    info = json.loads((run / "run.json").read_text())
    info["judge"] = {HOSTILE: HOSTILE}
    (run / "run.json").write_text(json.dumps(info))
    add_eval(run, f"b{HOSTILE[:12].replace('/', '')}", [1, 0], ids=[HOSTILE, "__proto__"], protocol=HOSTILE,
             outputs=[{"item_id": HOSTILE, "prompt": HOSTILE, "output": HOSTILE}])  # fmt: skip
    page = write_report([run], tmp_path / "r.html", title=HOSTILE)
    browser.open(page)
    for name in browser.run(
        "return [...document.getElementById('benchmark').options].map(o => o.value)"
    ):
        set_control(browser, "benchmark", name)
    browser.run("document.querySelectorAll('th').forEach(h => h.click())")
    set_control(browser, "benchmark", "gsm8k")
    set_control(browser, "search", "<script")
    assert browser.run("return window.hacked ?? null") is None
    assert browser.alert() is None
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert (
        browser.run("return document.querySelectorAll('main img, main a[href^=javascript]').length")
        == 0
    )
    shown = browser.run("return document.getElementById('detail').textContent")
    assert "<img src=x onerror=window.hacked=2>" in shown
    keep(browser, "hostile")


def test_the_policy_stops_a_script_that_slipped_in(browser, page, tmp_path):
    """Even markup that escaped escaping does not run: the page's policy names its one script."""
    text = page.read_text().replace(
        "<main>", "<main><script>window.hacked=1</script><img src=x onerror=window.hacked=2>", 1
    )
    broken = tmp_path / "broken.html"
    broken.write_text(text)
    browser.open(broken)
    assert browser.run("return window.hacked ?? null") is None
    assert any("Content Security Policy" in message for message in browser.console())

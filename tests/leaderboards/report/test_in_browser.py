"""The report in a real Chromium."""

import json
import os
from pathlib import Path

import pytest

from leaderboards.report import write_report
from leaderboards.report.page import PARTS
from tests.leaderboards.browser import Browser, missing
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, with_pairs

SECTIONS = [name for name, _ in PARTS]


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


def keep(browser, name):
    """Keeps a screenshot in the folder SSO_BENCH_SCREENSHOTS."""
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
        "c.dispatchEvent(new Event(arguments[0].endsWith('search') ? 'input' : 'change'))",
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
    browser.run("localStorage.clear()")
    browser.open(page)
    browser.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert background(browser) == "rgb(20, 24, 29)"
    browser.run("document.getElementById('trajectories').scrollIntoView()")
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
    browser.run("localStorage.clear()")


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
        '<main id="main">',
        "<main><script>window.hacked=1</script><img src=x onerror=window.hacked=2>",
        1,
    )
    broken = tmp_path / "broken.html"
    broken.write_text(text)
    browser.open(broken)
    assert browser.run("return window.hacked ?? null") is None
    assert any("Content Security Policy" in message for message in browser.console())


WIDTHS = (390, 768, 1440)


@pytest.fixture
def at_width(browser):
    """Sets the width of the window, and back at the end."""

    def resize(width):
        browser.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    yield resize
    browser.send("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows(browser, page, at_width, width):
    at_width(width)
    browser.open(page)
    # A page that is too wide widens a phone's layout: the window's own width is no measure there.
    assert browser.run("return document.documentElement.scrollWidth") == width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => "
        "!e.closest('.scroll, .panes, svg, pre') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.tagName)"
    )
    assert outside == []
    keep(browser, f"width-{width}")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_serious_accessibility_violation(browser, page, at_width, width):
    """Checked with axe-core (``npm pack axe-core``), whose axe.min.js SSO_BENCH_AXE names."""
    if not (axe := os.environ.get("SSO_BENCH_AXE")):
        pytest.skip("SSO_BENCH_AXE does not name axe-core's axe.min.js")
    at_width(width)
    browser.open(page)
    browser.send("Runtime.evaluate", expression=Path(axe).read_text())
    script = (
        "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations"
        ".filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + v.nodes[0].html))"
    )
    found = browser.send(
        "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
    )
    assert found["result"]["value"] == []


def test_the_page_opens_with_a_verdict_and_won_tied_lost(browser, page):
    browser.open(page)
    lines = browser.run(
        "return [...document.querySelectorAll('.verdict-line')].map(p => p.textContent)"
    )
    assert [line.split(" after ")[0] for line in lines] == ["UltraFeedback", "PBAA", "SSO"]
    assert all("base" in line and "±" in line for line in lines)
    bar = browser.run("return document.querySelector('.bar').getAttribute('aria-label')")
    won, tied, lost = (int(part.split()[0]) for part in bar.split(", "))
    assert won + tied + lost == 24


def detail(browser, name="detail"):
    return browser.run("return document.getElementById(arguments[0]).innerText", name)


def test_all_checkpoints_side_by_side_and_words_for_values(browser, page):
    browser.open(page)
    set_control(browser, "benchmark", "gsm8k")
    browser.run("document.getElementById('every').click()")
    heads = browser.run(
        "return [...document.querySelectorAll('#detail h4')].map(h => h.textContent)"
    )
    assert heads[0] == "base"
    assert len(heads) == 10
    words = browser.run(
        "return [...document.querySelectorAll('#detail .verdict')].map(p => p.textContent)"
    )
    assert set(words) <= {"right", "wrong"}


def press(browser, key, name="list"):
    browser.run(
        "document.getElementById(arguments[1]).dispatchEvent("
        "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true, cancelable: true}))",
        key,
        name,
    )


def test_arrow_keys_and_links_lead_to_items(browser, page):
    browser.open(page)
    set_control(browser, "benchmark", "gsm8k")
    press(browser, "ArrowDown")
    press(browser, "ArrowDown")
    assert "Question 2 of gsm8k" in detail(browser)
    assert browser.run("return location.hash") == "#item=item-2"
    press(browser, "End")
    assert "Question 23 of gsm8k" in detail(browser)
    browser.run("location.hash = '#item=item-7'")
    assert (
        browser.run("return document.getElementById('detail').querySelector('h3').textContent")
        == "item-7"
    )


def test_a_long_list_is_not_cut_in_silence(browser, tmp_path):
    run = start_run(tmp_path)
    add_eval(run, "gsm8k", [1, 0] * 301)
    browser.open(write_report([run], tmp_path / "r.html"))
    count = "return document.querySelectorAll('#list button[data-id]').length"
    assert browser.run(count) == 200
    more = "return document.querySelector('#list .more').textContent"
    assert browser.run(more) == "Show 200 more of 602"
    browser.run("document.querySelector('#list .more').click()")
    assert browser.run(count) == 400
    press(browser, "End")
    assert browser.run(count) == 602


def test_the_turns_of_a_question_stand_together(browser, tmp_path):
    run = start_run(tmp_path)
    ids = ["mt_bench/7/turn-1", "mt_bench/7/turn-2", "mt_bench/8/turn-1"]
    outputs = [{"item_id": i, "question": f"ask {i}", "output": f"say {i}"} for i in ids]
    add_eval(run, "mt_bench", [4.0, 6.0, 5.0], ids=ids, clusters=["7", "7", "8"], metric="average",
             unit="points", outputs=outputs)  # fmt: skip
    browser.open(write_report([run], tmp_path / "r.html"))
    shown = detail(browser)
    assert "say mt_bench/7/turn-1" in shown
    assert "say mt_bench/7/turn-2" in shown
    assert "turn-1\nask" in shown.replace("\n\n", "\n")
    assert "mt_bench/8" not in shown
    assert "rated 4" in shown


def test_pairs_show_principles_verdicts_and_the_words_that_differ(browser, tmp_path):
    run = with_pairs(start_run(tmp_path))
    browser.open(write_report([run], tmp_path / "r.html"))
    shown = detail(browser, "pair-detail")
    for text in ("How do bees fly?", "features: Depth", "Be deep.", "Be shallow.", "plain words",
                 "Judge: agreed", "y+ shown first: prefers y+", "y- shown first: prefers y+",
                 "under the good principle", "from the generator"):  # fmt: skip
        assert text in shown
    words = "return [...document.querySelectorAll('#pair-detail ' + arguments[0])].map(e => e.textContent)"
    assert browser.run(words, "ins") == ["quickly", "indeed"]
    assert browser.run(words, "del") == ["slowly"]
    set_control(browser, "pair-filter", "disagreed")
    assert browser.run("return document.getElementById('pair-count').textContent") == "0 of 1 pairs"
    assert "No pair fits" in detail(browser, "pair-detail")


def test_the_theme_is_kept(browser, page):
    browser.open(page)
    before = background(browser)
    browser.run("document.getElementById('theme').click()")
    after = background(browser)
    browser.open(page)
    assert before != after == background(browser)
    browser.run("document.getElementById('theme').click()")


def test_nothing_is_cut_on_paper(browser, tmp_path, at_width):
    """Eighteen columns on a portrait page: A4 less its margins is 718 pixels wide."""
    run = with_pairs(start_run(tmp_path))
    for number in range(12):
        for arm, iteration in (("base", 0), ("sso", 1)):
            column = {"title": "x", "column": f"c{number}", "label": f"MMLU-Pro {number}"}
            at = {"arm": arm, "iteration": iteration}
            add_eval(run, f"bench_{number}", [1, 0] * 10, info=column, **at)
    page = write_report([run], tmp_path / "r.html")
    at_width(718)
    browser.send("Emulation.setEmulatedMedia", media="print")
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth") == 718
    browser.send("Emulation.setEmulatedMedia", media="", features=[])

"""The report in a real Chromium."""

import json
import os
from pathlib import Path

import pytest

from leaderboards.report import write_report
from tests.leaderboards.browser import Browser, missing
from tests.leaderboards.example_runs import add_eval, demo_run

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

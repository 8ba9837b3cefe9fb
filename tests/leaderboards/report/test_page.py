"""The HTML page as text."""

import json
import re

import pytest

from groundwork.errors import UserError
from leaderboards.report import write_report
from leaderboards.report.page import embedded
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

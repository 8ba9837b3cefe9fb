"""The HTML page as text."""

import json
import re

import pytest

from groundwork.errors import UserError
from leaderboards.report import write_report
from leaderboards.report.page import PARTS, embedded
from tests.leaderboards.example_runs import add_eval, demo_run, start_run, write_stage

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
    assert "every third item is shown here" in page.read_text()


def test_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can.t be written: "):
        write_report([run], tmp_path / "file" / "r.html")


def test_a_run_without_scores_has_a_page(tmp_path):
    run = start_run(tmp_path)
    folder = run / "sso" / "iter-1" / "sample"
    folder.mkdir(parents=True)
    write_stage(run, folder, kind="sample", counts={"queries": 4, "pairs": 3})
    text = write_report([run], tmp_path / "r.html").read_text()
    assert "No finished scores yet: 1 stages are done." in text
    assert "Filter funnel" in text
    assert "No pairs were judged." in text
    assert "No items were scored." in text


def test_notes_of_the_stages_are_in_the_overview(tmp_path):
    run = start_run(tmp_path)
    folder = add_eval(run, "gsm8k", [1, 0])
    write_stage(run, folder, kind="eval", notes=["answers of <b>another</b> length"])
    text = write_report([run], tmp_path / "r.html").read_text()
    assert "answers of &lt;b&gt;another&lt;/b&gt; length (base/eval/gsm8k)" in text


def test_sixty_checkpoints_stay_below_eight_megabytes(tmp_path):
    runs = []
    for number in range(4):
        run = start_run(tmp_path, f"r{number}", config={"training": {"learning_rate": number}})
        for arm in ("base", "sso", "pbaa", "ultrafeedback"):
            for iteration in range(1, 6) if arm != "base" else (0,):
                rows = [
                    {"item_id": f"item-{i}", "prompt": "p" * 300, "output": f"{arm} " * 300}
                    for i in range(60)
                ]
                at = {"arm": arm, "iteration": iteration}
                add_eval(run, "gsm8k", [1, 0] * 30, outputs=rows, **at)
        runs.append(run)
    page = write_report(runs, tmp_path / "r.html")
    text = page.read_text()
    assert page.stat().st_size < 8_000_000
    assert "shown here." in text
    assert text.count("learning rate") + text.count("lr 3") > 0

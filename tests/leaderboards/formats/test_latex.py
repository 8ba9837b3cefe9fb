"""LaTeX compiles."""

import shutil
import subprocess

import numpy as np
import pytest

from leaderboards import render_table
from leaderboards.formats import latex
from leaderboards.paper import paper_table, published
from tests.leaderboards.example_runs import add_eval, coin_flips, start_run

PAPER_TABLES = tuple(dict.fromkeys(row["table"] for row in published()))


@pytest.fixture
def run(tmp_path):
    """base, sso 1-2 and pbaa 1 on GSM8K (sso 2 clearly better) and MT-Bench."""
    run = start_run(tmp_path)
    base = np.array(coin_flips(200, 0.4, 0))
    better = base.copy()
    better[np.flatnonzero(base == 0)[:50]] = 1  # 50 items gained, none lost: p = 2^-49
    slightly = base.copy()
    slightly[np.flatnonzero(base == 0)[0]] = 1
    add_eval(run, "gsm8k", base.tolist(), marks=("sample-data",))
    add_eval(run, "gsm8k", slightly.tolist(), arm="sso", iteration=1, marks=("sample-data",))
    add_eval(run, "gsm8k", better.tolist(), arm="sso", iteration=2, marks=("sample-data",))
    add_eval(
        run,
        "gsm8k",
        base.tolist(),
        arm="pbaa",
        iteration=1,
        protocol="gsm8k@2",
        marks=("sample-data",),
    )
    for arm, iteration, value in (("base", 0, 5.0), ("sso", 1, 6.0), ("pbaa", 1, 5.5)):
        add_eval(
            run,
            "mt_bench",
            [value, value + 0.2],
            metric="average",
            unit="points",
            arm=arm,
            iteration=iteration,
        )
    return run


HOSTILE = "<script>alert(1)</script>|_*`\\end{table}&%$#{}~^"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(run, tmp_path):
    hostile = start_run(tmp_path, "hostile", model=HOSTILE)
    add_eval(hostile, "gsm8k", [1, 0, 1], marks=(HOSTILE,))
    tables = [
        render_table([run], format="latex", against="paper", paper_model="Qwen2-7B-Instruct"),
        render_table([hostile], format="latex"),
        *(latex.render(paper_table(name)) for name in PAPER_TABLES),
    ]
    head = r"\documentclass{article}\usepackage{booktabs,amssymb,graphicx}\begin{document}"
    body = "\n\\clearpage\n".join(tables)
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 20_000

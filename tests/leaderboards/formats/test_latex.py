"""LaTeX compiles."""

import shutil
import subprocess

import pytest

from leaderboards import render_table
from leaderboards.formats import latex
from leaderboards.paper import paper_table, table_names
from tests.leaderboards.example_runs import add_eval, start_run

PAPER_TABLES = table_names()


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

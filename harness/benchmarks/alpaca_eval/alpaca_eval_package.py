"""The one file that imports the alpaca_eval package.

alpaca_eval 0.6.6 is stale in three ways that are kept in here: it imports ``pkg_resources`` (gone
from setuptools 81, warns before), it fetches its two length-control files from the hub at every
call, and it switches scikit-learn's metadata routing on for the whole process. The benchmark itself
does not need the package's code (``lc.py`` is the same fit); this file lets tests and
``benchmarking/lc_coverage.py`` hold the two side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarks.alpaca_eval.length_control import FIXED_PENALTY, GAMED_WEIGHT, GLMS, Glm

FORMULAS = {
    False: "np.tanh(std_delta_len) + not_gamed_baseline.astype(float) - 1",
    True: (
        "np.tanh(std_delta_len) + instruction_difficulty + not_gamed_baseline.astype(float) - 1"
    ),
}


def length_controlled_winrate(
    annotations: Sequence[Mapping[str, Any]],
    gamed_file: Path,
    glm: Glm = GLMS["length_controlled_v1"],
) -> dict[str, float]:
    """``alpaca_eval.metrics.get_length_controlled_winrate`` with ``df_gamed.csv`` from a file.

    Rows are given an ``index`` by position unless they carry one, as the package does. Returns its
    metrics: ``win_rate``, ``standard_error``, ``length_controlled_winrate``,
    ``lc_standard_error``, counts.
    """
    import pandas as pd
    import sklearn

    with warnings.catch_warnings(), sklearn.config_context():
        warnings.simplefilter("ignore")
        from alpaca_eval.metrics import glm_winrate

        keep = ("preference", "output_1", "output_2", "generator_1", "generator_2", "index")
        frame = pd.DataFrame([{k: row[k] for k in keep if k in row} for row in annotations])
        frame["preference"] = frame["preference"].astype(float)
        download = glm_winrate.hf_hub_download
        glm_winrate.hf_hub_download = lambda **_: str(gamed_file)
        try:
            metrics = glm_winrate.get_length_controlled_winrate(
                frame,
                save_weights_dir=None,
                glm_info={
                    "formula": FORMULAS[glm.difficulty],
                    "regularize_to_baseline_lambda": 2 * GAMED_WEIGHT,
                    "kwargs": {"n_splits": glm.folds, "C": FIXED_PENALTY},
                },
            )
        finally:
            glm_winrate.hf_hub_download = download
    return {name: float(value) for name, value in metrics.items()}

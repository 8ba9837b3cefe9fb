"""The length-controlled win rate: alpaca-eval's logistic model of a preference, fitted here.

The model (Dubois et al. 2024, arXiv 2404.04475; ``length_controlled_v1`` of alpaca-eval 0.6.6) says
that the probability that the evaluated answer is preferred is the logistic function of

    a * tanh((len_1 - len_2) / std(len_1 - len_2)) + b * difficulty(instruction) + c

with lengths in characters. The length-controlled win rate is the mean of that probability over the
instructions at length difference zero. ``a``, ``b`` and ``c`` are fitted by l1-penalised logistic
regression on the graded preferences, together with the two *gamed* baselines (verbose and concise
answers of the baseline itself; no term ``c``) at a tenth of an instruction's weight, which keep
``a`` in place; the penalty is picked by cross-validation over five groups of instructions.

The fit repeats the package's own, step by step (same solver, folds, grid and random state), without
its global scikit-learn switch, its pandas frames and its download; a test holds both equal to 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PENALTY_GRID = np.logspace(-4, 4, 10)
"""Values of C (inverse l1 strength) that the cross-validation tries, scikit-learn's default grid."""
FIXED_PENALTY = 100.0
"""C of a model without cross-validation, the package's default."""
RANDOM_STATE = 123
GAMED_WEIGHT = 0.2 / 2
"""Weight of one gamed row beside 1 for one instruction: lambda 0.2 over two gamed baselines."""
MIN_ROWS = 5
"""Fewest judged instructions that a fit is made on: one for each of the five folds."""


@dataclass(frozen=True)
class Glm:
    """One variant of the model: whether it has the difficulty term and how its penalty is picked.

    ``folds`` 0 means no cross-validation: C is ``FIXED_PENALTY``. ``neutral``: the gamed rows are
    ``neutral_rows`` instead of the judged ones of a file.
    """

    name: str
    difficulty: bool
    folds: int
    neutral: bool = False


GLMS = {
    glm.name: glm
    for glm in (
        Glm("length_controlled_v1", difficulty=True, folds=5),
        # For instructions without judged gamed baselines and known difficulties (the sample data).
        # Too few rows for a cross-validated penalty to mean anything.
        Glm("length_controlled_neutral", difficulty=False, folds=0, neutral=True),
    )
}


@dataclass(frozen=True)
class Comparisons:
    """The judged instructions of one model, as arrays of one length n.

    ``preference``: 0..1, 1 = the evaluated model's answer preferred, nan where the judgment is
    missing. ``delta_len``: characters of the baseline's answer minus those of the model's.
    ``difficulty``: the instruction's difficulty (zeros where the GLM has no such term).
    """

    preference: Floats
    delta_len: Floats
    difficulty: Floats

    def take(self, rows: npt.NDArray[np.intp]) -> Comparisons:
        """The comparisons of these rows, repeats included."""
        return Comparisons(self.preference[rows], self.delta_len[rows], self.difficulty[rows])


@dataclass(frozen=True)
class GamedRows:
    """The gamed baselines' rows: ``preference`` 0..1, ``std_delta_len`` in standard deviations."""

    preference: Floats
    std_delta_len: Floats
    difficulty: Floats


@dataclass(frozen=True)
class LcFit:
    """A fitted model: ``win_rate`` in percent, ``coefficients`` (length[, difficulty], constant).

    ``predicted``: probability of winning at equal length, per instruction (shape n).
    ``penalty``: the C that was used.
    """

    glm: Glm
    win_rate: float
    coefficients: Floats
    penalty: float
    predicted: Floats

    @property
    def package_standard_error(self) -> float:
        """What alpaca-eval prints as ``lc_standard_error``, in percent: the standard error of the
        mean of the *predictions*. It leaves out that the coefficients were estimated, so it is
        far too small; kept for comparison only."""
        return float(100 * self.predicted.std(ddof=1) / np.sqrt(len(self.predicted)))


def neutral_rows(instructions: int) -> GamedRows:
    """Gamed rows of a judge without a taste for length: for every instruction, the baseline made a
    standard deviation longer or shorter ties with itself.

    They hold the length coefficient at zero where the data say nothing about it (all answers
    shorter than the baseline's, say), so that no length effect is removed that was not seen;
    without any gamed rows such a fit is arbitrary.
    """
    return GamedRows(
        np.full(2 * instructions, 0.5),
        np.repeat([-1.0, 1.0], instructions),
        np.zeros(2 * instructions),
    )


class LcUnavailableError(ValueError):
    """The length-controlled win rate can't be computed; the message says why."""


def scale(delta_len: Floats) -> float:
    """The standard deviation (ddof 1) that length differences are divided by."""
    value = float(np.std(delta_len, ddof=1)) if len(delta_len) > 1 else 0.0
    if not value > 0:
        raise LcUnavailableError("all answers differ from the baseline's by the same length")
    return value


def terms(glm: Glm, tanh_length: Floats, difficulty: Floats, constant: float = 1.0) -> Floats:
    """The design matrix, shape (n, 2 or 3): tanh length[, difficulty], constant (0 if gamed)."""
    columns = [tanh_length, difficulty] if glm.difficulty else [tanh_length]
    return np.column_stack([*columns, np.full(len(tanh_length), constant)])


@dataclass(frozen=True)
class TrainingSet:
    """What the regression sees: design (m, k), targets in 0..1 (m) and row weights (m)."""

    design: Floats
    target: Floats
    weight: Floats


def training_set(data: Comparisons, gamed: GamedRows, glm: Glm) -> TrainingSet:
    """Gamed rows first, then the judged instructions, as the package stacks them."""
    judged = ~np.isnan(data.preference)
    length = np.tanh(data.delta_len / scale(data.delta_len))
    own = terms(glm, length[judged], data.difficulty[judged])
    other = terms(glm, np.tanh(gamed.std_delta_len), gamed.difficulty, constant=0.0)
    return TrainingSet(
        np.vstack([other, own]),
        np.concatenate([gamed.preference, data.preference[judged]]),
        np.concatenate([np.full(len(other), GAMED_WEIGHT), np.ones(len(own))]),
    )


def fit_lc(data: Comparisons, gamed: GamedRows, glm: Glm = GLMS["length_controlled_v1"]) -> LcFit:
    """Fit the model and predict at equal length for every instruction, judged or not.

    Raises:
        LcUnavailableError: fewer than ``MIN_ROWS`` judgments, or equal length differences
            throughout.
    """
    n_judged = int(np.count_nonzero(~np.isnan(data.preference)))
    if n_judged < MIN_ROWS:
        raise LcUnavailableError(f"{n_judged} judged instructions, at least {MIN_ROWS} needed")
    train = training_set(data, gamed, glm)
    penalty = cross_validated_penalty(train, glm.folds) if glm.folds else FIXED_PENALTY
    coefficients = _regression(train, penalty, RANDOM_STATE)
    predicted = _logistic(at_equal_length(glm, data.difficulty) @ coefficients)
    return LcFit(glm, float(100 * predicted.mean()), coefficients, penalty, predicted)


def at_equal_length(glm: Glm, difficulty: Floats) -> Floats:
    """The design at length difference zero."""
    return terms(glm, np.zeros(len(difficulty)), difficulty)


def cross_validated_penalty(train: TrainingSet, folds: int) -> float:
    """The C of ``PENALTY_GRID`` with the best mean held-out log-likelihood.

    Folds are scikit-learn's ``GroupKFold`` over the rows; the loss of a fold is averaged over rows,
    not over weight, as in the package. One random state runs through the grid of a fold.
    """
    from sklearn.model_selection import GroupKFold

    rows = np.arange(len(train.target))
    twice = np.concatenate([rows, rows])  # each row enters once as a win and once as a loss
    scores = []
    for inside, outside in GroupKFold(n_splits=folds).split(twice, groups=twice):
        # Both copies of a row fall into the same fold, so the first copy's index is enough.
        kept, held = inside[inside < len(rows)], outside[outside < len(rows)]
        subset = TrainingSet(train.design[kept], train.target[kept], train.weight[kept])
        state = np.random.RandomState(RANDOM_STATE)
        scores.append([_held_out(train, held, _regression(subset, c, state)) for c in PENALTY_GRID])
    return float(PENALTY_GRID[int(np.argmax(np.mean(scores, axis=0)))])


def _held_out(train: TrainingSet, rows: npt.NDArray[np.intp], coefficients: Floats) -> float:
    p = np.clip(_logistic(train.design[rows] @ coefficients), 1e-15, 1 - 1e-15)
    y = train.target[rows]
    return float(np.mean(train.weight[rows] * (y * np.log(p) + (1 - y) * np.log(1 - p))))


def _regression(train: TrainingSet, penalty: float, random_state: Any) -> Floats:
    """l1-penalised logistic regression on graded targets: each row twice, as a win with weight
    target and as a loss with weight 1 - target."""
    from sklearn.linear_model import LogisticRegression

    n = len(train.target)
    model = LogisticRegression(
        C=penalty,
        l1_ratio=1.0,
        solver="liblinear",
        fit_intercept=False,
        random_state=random_state,
    )
    model.fit(
        np.vstack([train.design, train.design]),
        np.concatenate([np.ones(n), np.zeros(n)]),
        sample_weight=np.concatenate([train.target, 1 - train.target])
        * np.concatenate([train.weight, train.weight]),
    )
    return np.asarray(model.coef_[0], dtype=np.float64)


def _logistic(x: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def preference_share(preferences: Sequence[float | None]) -> Floats:
    """Judge's preferences (1..2; 0 and 1.5 are ties) as 0..1, nan where there is none."""
    values = np.array([np.nan if p is None else float(p) for p in preferences], dtype=np.float64)
    return np.where(values == 0, 1.5, values) - 1

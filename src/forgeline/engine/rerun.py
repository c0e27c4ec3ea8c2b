"""By how much a leak raises the score: the recorded steps are run again, honestly and as they were."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from forgeline.engine import ledger as book
from forgeline.engine.estimators import answer
from forgeline.engine.ledger import Inflation, Ledger

if TYPE_CHECKING:
    from forgeline.engine.recorder import Draft, Recorder

Rule = Callable[["Recorder", Ledger, list[book.Scored], int], Inflation | None]


def measured(recorder: "Recorder", plain: Ledger, *, seed: int = 0) -> Ledger:
    """The ledger with the effect of each leak it shows, where the steps can be run again."""
    rules: dict[str, Rule] = {
        "leak.selection": through_steps("select"),
        "leak.preprocessing": through_steps("fit"),
        "leak.no_test_set": without_test,
        "leak.test_reuse": best_of_many,
    }
    masks = book.Masks(plain)
    found = list(book.scores(plain, masks))
    inflation = {}
    for verdict in book.judge(plain):
        effect = rules[verdict.code](recorder, plain, found, seed)
        if effect is not None:
            inflation[verdict.code] = effect
    return msgspec.structs.replace(plain, inflation=inflation)


# ---------------------------------------------------------------- steps that saw too much


def through_steps(verb: str) -> Rule:
    """The rule for steps of one verb: they are fitted on all rows, and on the training rows only."""

    def rule(recorder: "Recorder", plain: Ledger, found: list[book.Scored], seed: int) -> Inflation | None:
        masks = book.Masks(plain)
        for one in book.reported(found, 0.05):
            chain = steps(recorder, one)
            seen = [masks.share(one.entry, plain.entries[at]) >= 0.05 for at in one.uses]
            if chain and recorder.y is not None:
                leaks = [here and draft.verb == verb for here, draft in zip(seen, chain)]
                if any(leaks):
                    return compare(recorder, chain, leaks, one, seed)
        return None

    return rule


def steps(recorder: "Recorder", one: book.Scored) -> list["Draft"] | None:
    """The fitted steps before a model and the model, if each was given just what the one before put out."""
    at_S = one.uses
    drafts = [recorder.drafts[at] for at in at_S]
    drafts.append(recorder.drafts[int(one.entry.model or 0)])
    for place, draft in enumerate(drafts):
        if draft.estimator is None or sorted(draft.uses) != at_S[:place]:
            return None
    return drafts if drafts[0].whole and all(hasattr(d.estimator, "transform") for d in drafts[:-1]) else None


def compare(
    recorder: "Recorder", chain: list["Draft"], leaks: list[bool], one: book.Scored, seed: int
) -> Inflation | None:
    """Score with the leaking steps fitted on every row, less the score with them fitted on the training rows."""
    y_N = np.asarray(recorder.y)
    share = min(0.5, max(0.1, one.entry.rows / recorder.rows))
    differences, metric = [], ""
    splits = int(np.clip(8_000 // recorder.rows, 8, 24))  # few rows say little in one split, and are soon run again
    for train_ids, test_ids in partitions(recorder, y_N, chain[-1].estimator, share, splits, seed):
        pair = []
        for leaky in (True, False):
            answers = run(recorder.x, y_N, chain, leaks, train_ids, test_ids, leaky)
            value, metric = score(y_N[test_ids], answers, y_N)
            pair.append(value)
        differences.append(pair[0] - pair[1])
    return drawn_to_none(summed(differences, metric))


def run(
    x: Any,
    y_N: np.ndarray,
    chain: list["Draft"],
    leaks: list[bool],
    train_ids: np.ndarray,
    test_ids: np.ndarray,
    leaky: bool,
) -> Any:
    """The model's answers on test rows; `leaks` says which steps are fitted on every row when `leaky`."""
    from sklearn.base import clone
    from sklearn.utils import _indexing

    take = _indexing._safe_indexing
    both = np.concatenate([train_ids, test_ids])
    rows, truth_N = take(x, both), y_N[both]
    train = len(train_ids)
    for draft, leak in zip(chain[:-1], leaks):
        step = clone(draft.estimator)
        seen = len(both) if leaky and leak else train
        step.fit(take(rows, np.arange(seen)), truth_N[:seen])
        rows = step.transform(rows)
    model = clone(chain[-1].estimator).fit(take(rows, np.arange(train)), truth_N[:train])
    return answer(model, take(rows, np.arange(train, len(both))))


def partitions(
    recorder: "Recorder", y_N: np.ndarray, model: Any, share: float, splits: int, seed: int, most_rows: int = 20_000
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random splits, of a sample where there are very many rows."""
    from sklearn.base import is_classifier
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

    draw = np.random.default_rng(seed)
    kept = np.sort(draw.choice(recorder.rows, min(recorder.rows, most_rows), replace=False))
    common = is_classifier(model) and np.unique(y_N[kept], return_counts=True)[1].min() >= 2
    cut = (StratifiedShuffleSplit if common else ShuffleSplit)(n_splits=splits, test_size=share, random_state=seed)
    return [(kept[train], kept[test]) for train, test in cut.split(np.zeros(len(kept)), y_N[kept])]


def without_test(recorder: "Recorder", plain: Ledger, found: list[book.Scored], seed: int) -> Inflation | None:
    """The score on the rows the model was fitted on, less the scores of tenths of them that are kept apart in turn.

    Not fewer, as what a model learns by heart depends on how many rows it has.
    """
    for one in found:
        chain = steps(recorder, one)
        if chain is None or recorder.y is None:
            continue
        y_N, no_leak = np.asarray(recorder.y), [False] * len(chain)
        kept, cuts = tenths(recorder, y_N, chain[-1].estimator, seed)
        fitted, metric = score(y_N[kept], run(recorder.x, y_N, chain, no_leak, kept, kept, False), y_N)
        differences = []
        for train_ids, test_ids in cuts:
            apart = run(recorder.x, y_N, chain, no_leak, train_ids, test_ids, False)
            differences.append(fitted - score(y_N[test_ids], apart, y_N)[0])
        return summed(differences, metric)
    return None


def tenths(
    recorder: "Recorder", y_N: np.ndarray, model: Any, seed: int, *, most_rows: int = 20_000
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """The rows, a sample where there are very many, and ten folds of them: the others, and the fold."""
    from sklearn.base import is_classifier
    from sklearn.model_selection import KFold, StratifiedKFold

    kept = np.sort(np.random.default_rng(seed).choice(recorder.rows, min(recorder.rows, most_rows), replace=False))
    count = min(10, len(kept))
    common = is_classifier(model) and np.unique(y_N[kept], return_counts=True)[1].min() >= count
    cut = (StratifiedKFold if common else KFold)(count, shuffle=True, random_state=seed)
    return kept, [(kept[train], kept[test]) for train, test in cut.split(np.zeros(len(kept)), y_N[kept])]


def drawn_to_none(found: Inflation | None) -> Inflation | None:
    """Drawn towards no effect by the share of it that may be the luck of the splits (James and Stein 1961)."""
    if found is None or found.low is None or not found.value:
        return found
    error = (found.value - found.low) / 1.96
    return msgspec.structs.replace(found, value=max(0.0, 1 - (error / found.value) ** 2) * found.value)


def summed(differences: list[float], metric: str) -> Inflation | None:
    """The mean over splits and its 95 % interval, of those that could be scored."""
    known = np.asarray([value for value in differences if value == value])
    if not len(known):
        return None
    reach = 1.96 * float(known.std(ddof=1)) / len(known) ** 0.5 if len(known) > 1 else 0.0
    mean = float(known.mean())
    return Inflation(value=mean, low=mean - reach, high=mean + reach, metric=metric, how="measured")


# ---------------------------------------------------------------- the best of many


def best_of_many(recorder: "Recorder", plain: Ledger, found: list[book.Scored], seed: int) -> Inflation | None:
    """What the best of the scored models owes to chance on these test rows.

    The noise of the scores and its correlation come from a bootstrap of the rows; the true scores are the seen
    ones shrunk towards their mean by the share of their variance that is noise (James and Stein 1961).
    """
    masks = book.Masks(plain)
    group = max(book.by_rows(masks, book.reported(found, 0.05)), key=lambda one: len(book.contenders(one)))
    answers = {}
    for one in group:
        given = recorder.drafts[one.at].answers
        if given is not None and not one.model.baseline:
            answers[(one.model.setting, one.model.digest, tuple(one.model.uses))] = given
    if len(answers) < 2 or recorder.y is None:
        return None
    ids_N, given = same_rows(list(answers.values()))
    return optimism(given, np.asarray(recorder.y)[ids_N], recorder.y, seed) if len(ids_N) else None


def same_rows(answers: list[tuple[np.ndarray, Any]]) -> tuple[np.ndarray, list[Any]]:
    """The row ids that all answers are about and the answers there; none if they are about different rows."""
    if any(len(ids_N) != len(answers[0][0]) for ids_N, _ in answers):
        return np.zeros(0, int), []
    best_N = np.max([ids_N for ids_N, _ in answers], axis=0)
    if any(((ids_N >= 0) & (ids_N != best_N)).any() for ids_N, _ in answers):
        return np.zeros(0, int), []
    known_N = best_N >= 0
    return best_N[known_N], [given[known_N] for _, given in answers]


def optimism(answers: Sequence[Any], y_N: np.ndarray, labels: Any, seed: int, *, draws: int = 100) -> Inflation | None:
    """Expected score of the best model less its true one, by a simulation of noise on shrunken scores."""
    draw = np.random.default_rng(seed)
    seen_K, metric = scores_of(answers, y_N, labels)
    noise_BK = np.array(
        [
            scores_of([a[at] for a in answers], y_N[at], labels)[0]
            for at in draw.integers(len(y_N), size=(draws, len(y_N)))
        ]
    )
    noise_BK = noise_BK[np.isfinite(noise_BK).all(axis=1)]
    if len(noise_BK) < 2 or not np.isfinite(seen_K).all():
        return None
    noise_BK = noise_BK - noise_BK.mean(axis=0)
    own_BK = noise_BK - noise_BK.mean(axis=1, keepdims=True)
    noise, spread = float(own_BK.var(axis=0).mean()), float(seen_K.var(ddof=1))
    true_K = seen_K.mean() + (seen_K - seen_K.mean()) * (max(0.0, 1 - noise / spread) if spread else 0.0) ** 0.5
    best_B = (true_K + noise_BK).argmax(axis=1)
    owed_B = noise_BK[np.arange(len(noise_BK)), best_B]
    value, reach = float(owed_B.mean()), 1.96 * float(owed_B.std()) / len(owed_B) ** 0.5
    return Inflation(value=value, low=value - reach, high=value + reach, metric=metric, how="measured")


def scores_of(answers: Sequence[Any], y_N: np.ndarray, labels: Any) -> tuple[np.ndarray, str]:
    """The score of each model on the same rows."""
    classes = np.unique(np.asarray(labels))
    found = [score(y_N, given, classes) for given in answers]
    return np.array([value for value, _ in found]), found[0][1]


def score(y_N: np.ndarray, answers: Any, labels: Any) -> tuple[float, str]:
    """AUC of two classes by a number, the share of right answers of other classes, R² of values; NaN if none."""
    given = np.asarray(answers)
    classes = np.unique(np.asarray(labels))
    if given.ndim == 2 and given.shape[1] == 2 == len(classes):
        return auc(y_N == classes[1], given[:, 1]), "AUC"
    if given.ndim == 2 and given.shape[1] == len(classes):
        return float((classes[given.argmax(axis=1)] == y_N).mean()), "accuracy"
    given = given.reshape(len(given), -1)[:, 0]
    if len(classes) == 2:
        value_N = given if given.dtype.kind == "f" else (given == classes[1]).astype(float)
        return auc(y_N == classes[1], value_N), "AUC"
    if given.dtype.kind != "f":
        return float((given == y_N).mean()), "accuracy"
    truth_N = y_N.astype(float)
    rest = float(((truth_N - truth_N.mean()) ** 2).sum())
    return (1 - float(((truth_N - given) ** 2).sum()) / rest if rest else float("nan")), "R²"


def auc(true_N: np.ndarray, value_N: np.ndarray) -> float:
    """Area under the ROC curve by ranks, ties by half (Mann and Whitney 1947)."""
    ones = int(true_N.sum())
    zeros = len(true_N) - ones
    if not ones or not zeros:
        return float("nan")
    _, position_N, count_V = np.unique(value_N, return_inverse=True, return_counts=True)
    rank_V = np.cumsum(count_V) - (count_V - 1) / 2
    return float((rank_V[position_N][true_N].sum() - ones * (ones + 1) / 2) / (ones * zeros))

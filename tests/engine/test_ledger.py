import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from forgeline.engine import ledger as book
from forgeline.engine import recording
from forgeline.engine.rerun import auc
from forgeline.errors import BadInput


def table(seed=0, rows=240, columns=8, kind="array"):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, columns))
    y = (x[:, 0] + draw.normal(size=rows) > 0).astype(int)
    if kind == "array":
        return x, y
    frame = pd.DataFrame(x, columns=[f"c{at}" for at in range(columns)])
    return frame, pd.Series(y, name="label")


def unmeasured(workflow, x, y):
    """The verdicts, their effects as published: to run every leak again takes long, and is tested by itself."""
    with recording.recording(x, y) as recorder:
        workflow(x, y)
    return book.judge(recorder.write())


def codes(workflow, x, y):
    return [one.code for one in unmeasured(workflow, x, y)]


KINDS = ["array", pytest.param("frame", marks=pytest.mark.slow)]


def model():
    return LogisticRegression(max_iter=200)


# ---------------------------------------------------------------- clean


def pipeline_hold_out(x, y):
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    make_pipeline(StandardScaler(), SelectKBest(k=3), model()).fit(x_a, y_a).score(x_b, y_b)


def pipeline_folds(x, y):
    cross_val_score(make_pipeline(StandardScaler(), SelectKBest(k=3), model()), x, y)


def scaler_on_train(x, y):
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    scaler = StandardScaler().fit(x_a)
    one = model().fit(scaler.transform(x_a), y_a)
    one.score(scaler.transform(x_a), y_a)
    one.score(scaler.transform(x_b), y_b)
    one.predict_proba(scaler.transform(x_b))


def search_on_train(x, y):
    x_a, x_b, y_a, y_b = train_test_split(x, LabelEncoder().fit_transform(y), random_state=1)
    scaler = StandardScaler()
    search = GridSearchCV(model(), {"C": [0.1, 1, 10]}, cv=3).fit(scaler.fit_transform(x_a), y_a)
    search.score(scaler.transform(x_b), y_b)


def tuned_on_train(x, y):
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    x_a = StandardScaler().fit_transform(x_a)
    best = max([0.1, 1, 10], key=lambda c: cross_val_score(LogisticRegression(C=c), x_a, y_a).mean())
    LogisticRegression(C=best).fit(x_a, y_a).score(np.asarray(x_b), y_b)
    DummyClassifier().fit(x_a, y_a).score(x_b, y_b)


def folds_by_hand(x, y):
    x, y = np.asarray(x), np.asarray(y)
    for train, test in KFold(5, shuffle=True, random_state=0).split(x):
        scaler = StandardScaler().fit(x[train])
        model().fit(scaler.transform(x[train]), y[train]).score(scaler.transform(x[test]), y[test])


def slices_by_hand(x, y):
    x, y = np.asarray(x), np.asarray(y)
    scaler = StandardScaler()
    one = model().fit(scaler.fit_transform(x[:180]), y[:180])
    one.predict(scaler.transform(x[180:]))
    model().fit(StandardScaler().fit_transform(x), y)  # the model that will be shipped


def nested(x, y):
    search = GridSearchCV(make_pipeline(StandardScaler(), model()), {"logisticregression__C": [1, 2]}, cv=2)
    cross_val_score(search, x, y, cv=3)


def predicted_by_folds(x, y):
    cross_val_predict(make_pipeline(FeatureUnion([("a", PCA(2)), ("b", StandardScaler())]), model()), x, y)


def looked_at_only(x, y):
    PCA(2).fit_transform(x)
    pipeline_hold_out(x, y)


CLEAN = [
    pipeline_hold_out,
    pipeline_folds,
    scaler_on_train,
    search_on_train,
    tuned_on_train,
    folds_by_hand,
    slices_by_hand,
    pytest.param(nested, marks=pytest.mark.slow),
    predicted_by_folds,
    looked_at_only,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workflow", CLEAN)
def test_a_clean_workflow_has_no_verdict(workflow, kind):
    assert codes(workflow, *table(kind=kind)) == []


def test_estimators_are_split_here_and_clean():
    x, y = table(kind="frame")
    x["city"] = np.where(x["c1"] > 0, "Bonn", "Rome")
    prepare = ColumnTransformer(
        [
            ("text", OneHotEncoder(), ["city"]),
            ("rest", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include=float)),
        ]
    )
    whole = Pipeline([("prepare", prepare), ("select", SelectKBest(k=4)), ("model", model())])
    for options in ({}, {"test": 0.3}, {"test": list(range(50))}, {"cv": 4}):
        written = recording.ledger(whole, x, y, **options)
        assert book.judge(written) == []
        assert not book.why_not(written)
    values = recording.ledger(make_pipeline(StandardScaler(), LinearRegression()), x[["c0", "c1"]], x["c2"])
    assert book.judge(values) == []


# ---------------------------------------------------------------- leaks


def scaler_first(x, y):
    x_a, x_b, y_a, y_b = train_test_split(StandardScaler().fit_transform(x), y, random_state=1)
    model().fit(x_a, y_a).score(x_b, y_b)


def scaler_first_sliced(x, y):
    x = StandardScaler().fit_transform(x)
    y = np.asarray(y)
    model().fit(x[60:], y[60:]).predict(x[:60])


def scaler_before_folds(x, y):
    cross_val_score(model(), StandardScaler().fit_transform(x), y)


def scaler_in_place(x, y):
    if isinstance(x, pd.DataFrame):
        x = x.copy()
        x[["c0", "c1"]] = StandardScaler().fit_transform(x[["c0", "c1"]])
    else:
        x[:, :2] = StandardScaler().fit_transform(x[:, :2])
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    model().fit(x_a, y_a).score(x_b, y_b)


def parts_stacked(x, y):
    x = np.asarray(x)
    x = np.hstack([PCA(2).fit_transform(x[:, :4]), x[:, 4:]])
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    model().fit(x_a, y_a).score(x_b, y_b)


def imputer_then_pipeline(x, y):
    x_a, x_b, y_a, y_b = train_test_split(SimpleImputer().fit_transform(x), y, random_state=1)
    make_pipeline(StandardScaler(), model()).fit(x_a, y_a).score(x_b, y_b)


PREPROCESSING = [
    scaler_first,
    scaler_first_sliced,
    scaler_before_folds,
    scaler_in_place,
    parts_stacked,
    imputer_then_pipeline,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workflow", PREPROCESSING)
def test_steps_fitted_on_all_rows(workflow, kind):
    if workflow is imputer_then_pipeline:
        x, y = table(kind=kind)
        (x.iloc if kind == "frame" else x)[::7, 2] = np.nan
        assert codes(workflow, x, y) == ["leak.preprocessing"]
    else:
        assert codes(workflow, *table(kind=kind)) == ["leak.preprocessing"]


def selected_first(x, y):
    x_a, x_b, y_a, y_b = train_test_split(SelectKBest(k=5).fit_transform(x, y), y, random_state=1)
    model().fit(x_a, y_a).score(x_b, y_b)


def selected_by_support(x, y):
    x, y = np.asarray(x), np.asarray(y)
    chosen = SelectKBest(k=5).fit(x, y).get_support()
    x_a, x_b, y_a, y_b = train_test_split(x[:, chosen], y, random_state=1)
    model().fit(x_a, y_a).score(x_b, y_b)


def selected_before_folds(x, y):
    chosen = make_pipeline(StandardScaler(), SelectKBest(k=5)).fit_transform(x, y)
    cross_val_score(model(), chosen, y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workflow", [selected_first, selected_by_support, selected_before_folds])
def test_selection_that_saw_the_target(workflow, kind):
    found = unmeasured(workflow, *table(columns=40, kind=kind))
    assert [one.code for one in found] == ["leak.selection"]
    assert found[0].severity == "block"
    assert any("SelectKBest" in step for step in found[0].steps)


@pytest.mark.slow
def test_no_rows_kept_apart():
    x, y = table()
    fit = lambda x, y: make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=4)).fit(x, y)  # noqa: E731
    found = book.judge(recording.ledger(lambda x, y: fit(x, y).score(x, y), x, y))
    assert [one.code for one in found] == ["leak.no_test_set"]
    assert found[0].numbers["measured"]
    assert 0.05 < found[0].numbers["inflation"] < 0.5
    assert codes(lambda x, y: GridSearchCV(model(), {"C": [1, 2]}).fit(x, y).predict(x), x, y) == ["leak.no_test_set"]


def many_models(x, y, k=12):
    x_a, x_b, y_a, y_b = train_test_split(x, y, random_state=1)
    return max(KNeighborsClassifier(n).fit(x_a, y_a).score(x_b, y_b) for n in range(1, 2 * k, 2))


@pytest.mark.slow
def test_a_test_set_that_chose():
    found = book.judge(recording.ledger(many_models, *table()))
    assert [one.code for one in found] == ["leak.test_reuse"]
    assert found[0].numbers["models"] == 12
    assert found[0].numbers["measured"]
    assert codes(lambda x, y: many_models(x, y, 2), *table()) == []


# ---------------------------------------------------------------- effects


@pytest.mark.slow
def test_the_effect_of_selection_is_that_of_pure_noise():
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=(150, 400)), draw.integers(0, 2, 150)
    found = book.judge(recording.ledger(selected_first, x, y))
    assert found[0].numbers["measured"]
    assert 0.1 < found[0].numbers["inflation"] < 0.4


@pytest.mark.slow
def test_the_effect_of_scaling_is_next_to_nothing():
    found = book.judge(recording.ledger(scaler_first, *table()))
    assert found[0].numbers["measured"]
    assert abs(found[0].numbers["inflation"]) < 0.01
    assert found[0].severity == "warn"


@pytest.mark.slow
def test_the_best_of_noise_models_owes_all_to_chance():
    """20 models that know nothing: the best has what the largest of 20 draws of the AUC's noise has."""
    owed, seen = [], []
    for seed in range(5):
        draw = np.random.default_rng(seed)
        x, y = draw.normal(size=(400, 20)), draw.integers(0, 2, 400)
        answers = []

        def workflow(x, y, answers=answers):
            for at in range(20):
                one = LogisticRegression(C=1 + at).fit(x[:200, [at]], y[:200])
                answers.append(one.predict_proba(x[200:, [at]])[:, 1])

        written = recording.ledger(workflow, x, y, seed=seed)
        owed.append(written.inflation["leak.test_reuse"].value)
        seen.append(max(auc(y[200:] == 1, one) for one in answers))
    assert abs(np.mean(owed) - (np.mean(seen) - 0.5)) < 0.02


# ---------------------------------------------------------------- the ledger itself


def test_entries_say_what_was_seen():
    x, y = table()
    with recording.recording(x, y) as recorder:
        scaled = StandardScaler().fit_transform(x)
        x_a, x_b, y_a, y_b = train_test_split(scaled, y, random_state=1)
        one = RandomForestClassifier(5, random_state=0).fit(x_a, y_a)
        one.score(x_b, y_b)
    written = recorder.ledger
    top = [entry for entry in written.entries if not entry.inside]
    assert [(one.step, one.verb, one.rows, one.saw_target) for one in top] == [
        ("StandardScaler", "fit", 240, False),
        ("split", "split", 180, False),
        ("split", "split", 60, False),
        ("RandomForestClassifier", "fit", 180, True),
        ("RandomForestClassifier", "score", 60, False),
    ]
    assert [one.test_overlap for one in top] == [1.0, None, None, 0.0, 0.0]
    assert book.unpack(written.sets[top[0].digest], 240).all()
    assert (book.unpack(written.sets[top[3].digest], 240) ^ book.unpack(written.sets[top[4].digest], 240)).all()
    assert msgspec.json.decode(msgspec.json.encode(written), type=book.Ledger) == written


@pytest.mark.slow
def test_the_same_again():
    x, y = table()
    assert recording.ledger(many_models, x, y) == recording.ledger(many_models, x, y)


def test_nothing_to_judge():
    x, y = table()
    assert book.judge(None) == []
    assert "no fit ledger" in book.why_not(None)
    written = recording.ledger(lambda x, y: model().fit(x, y), x, y)
    assert book.judge(written) == []
    assert "no score" in book.why_not(written)


def test_bad_input():
    x, y = table()
    with pytest.raises(BadInput, match="neither an estimator nor a function"):
        recording.ledger("model", x, y)
    with pytest.raises(BadInput, match="240 rows and y has 9"):
        recording.ledger(model(), x, y[:9])


def test_a_ledger_is_of_a_table_of_as_many_rows_and_holds_steps():
    entry = book.Entry(step="scaler", verb="fit", rows=2, digest="d")
    full = book.Ledger(rows=600, entries=[entry], sets={"d": book.pack(np.array([0, 1]), 600)})
    assert book.of_table(full, 600, "fit.json") is full
    with pytest.raises(BadInput, match=r"^fit\.json: the ledger was written for 600 rows, and the data has 891\."):
        book.of_table(full, 891, "fit.json")
    with pytest.raises(BadInput, match=r"^fit\.json: the ledger holds no step\. Write it anew"):
        book.of_table(book.Ledger(rows=891, entries=[], sets={}), 891, "fit.json")

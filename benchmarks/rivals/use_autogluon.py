"""AutoGluon: TabularPredictor with a preset and a time limit, told the metric that is judged."""

import tempfile

from autogluon.tabular import TabularPredictor
from frames import asked, write_classes, write_values

METRICS = {"regression": "root_mean_squared_error"}


def main() -> None:
    x, y, test, task, out, (preset, seconds) = asked()
    train = x.assign(**{str(y.name): y})
    with tempfile.TemporaryDirectory() as folder:
        classes = "binary" if y.nunique() == 2 else "multiclass"
        predictor = TabularPredictor(
            label=str(y.name),
            problem_type="regression" if task == "regression" else classes,
            eval_metric=METRICS.get(task, "log_loss"),
            path=folder,
            verbosity=1,
        )
        predictor.fit(train, presets=preset, time_limit=float(seconds))
        if task == "regression":
            write_values(out, predictor.predict(test))
        else:
            p = predictor.predict_proba(test)
            write_classes(out, list(p.columns), p.to_numpy())


if __name__ == "__main__":
    main()

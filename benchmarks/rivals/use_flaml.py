"""FLAML: AutoML with a time budget, told the metric that is judged."""

from flaml import AutoML
from frames import answer, asked, plainly_named


def main() -> None:
    x, y, test, task, out, (seconds,) = asked()
    x, test = plainly_named(x, test)
    automl = AutoML()
    metric = "rmse" if task == "regression" else "log_loss"
    kind = "regression" if task == "regression" else "classification"
    automl.fit(X_train=x, y_train=y, task=kind, metric=metric, time_budget=float(seconds), verbose=0)
    answer(automl, test, task, out)


if __name__ == "__main__":
    main()

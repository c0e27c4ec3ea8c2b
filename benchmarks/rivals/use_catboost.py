"""CatBoost's defaults: text columns named as categories, everything else left alone."""

from catboost import CatBoostClassifier, CatBoostRegressor
from frames import asked, write_classes, write_values


def main() -> None:
    x, y, test, task, out, _ = asked()
    texts = [name for name in x if not (x[name].dtype.kind in "biuf" and test[name].dtype.kind in "biuf")]
    for frame in (x, test):
        for name in texts:
            frame[name] = frame[name].astype("object").where(frame[name].notna(), "missing").astype(str)
    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    model = kind(verbose=0, allow_writing_files=False, cat_features=texts).fit(x, y)
    if task == "regression":
        write_values(out, model.predict(test))
    else:
        write_classes(out, list(model.classes_), model.predict_proba(test))


if __name__ == "__main__":
    main()

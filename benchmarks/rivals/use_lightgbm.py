"""LightGBM's defaults: text columns as pandas categories, everything else left alone."""

import pandas as pd
from frames import asked, write_classes, write_values
from lightgbm import LGBMClassifier, LGBMRegressor


def main() -> None:
    x, y, test, task, out, _ = asked()
    for name in x:
        if not (x[name].dtype.kind in "biuf" and test[name].dtype.kind in "biuf"):
            levels = sorted({str(value) for value in x[name].dropna()})
            for frame in (x, test):
                texts = frame[name].astype("object").where(frame[name].notna(), None)
                frame[name] = pd.Categorical([None if value is None else str(value) for value in texts], levels)
    names = {name: f"column_{place}" for place, name in enumerate(x)}  # LightGBM refuses JSON characters in names
    x, test = x.rename(columns=names), test.rename(columns=names)
    model = (LGBMRegressor if task == "regression" else LGBMClassifier)(verbose=-1).fit(x, y)
    if task == "regression":
        write_values(out, model.predict(test))
    else:
        write_classes(out, list(model.classes_), model.predict_proba(test))


if __name__ == "__main__":
    main()

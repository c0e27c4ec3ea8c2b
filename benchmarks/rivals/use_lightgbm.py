"""LightGBM's defaults: text columns as pandas categories, everything else left alone."""

import pandas as pd
from frames import answer, asked, plainly_named, texts
from lightgbm import LGBMClassifier, LGBMRegressor


def main() -> None:
    x, y, test, task, out, _ = asked()
    for name in texts(x, test):
        levels = sorted({str(value) for value in x[name].dropna()})
        for frame in (x, test):
            cells = frame[name].astype("object").where(frame[name].notna(), None)
            frame[name] = pd.Categorical([None if value is None else str(value) for value in cells], levels)
    x, test = plainly_named(x, test)
    model = (LGBMRegressor if task == "regression" else LGBMClassifier)(verbose=-1).fit(x, y)
    answer(model, test, task, out)


if __name__ == "__main__":
    main()

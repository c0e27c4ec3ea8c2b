"""CatBoost's defaults: text columns named as categories, everything else left alone."""

from catboost import CatBoostClassifier, CatBoostRegressor
from frames import answer, asked, texts


def main() -> None:
    x, y, test, task, out, _ = asked()
    categories = texts(x, test)
    for frame in (x, test):
        for name in categories:
            frame[name] = frame[name].astype("object").where(frame[name].notna(), "missing").astype(str)
    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    model = kind(verbose=0, allow_writing_files=False, cat_features=categories).fit(x, y)
    answer(model, test, task, out)


if __name__ == "__main__":
    main()

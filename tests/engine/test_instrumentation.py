import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from forgeline.engine import recording


def test_everything_is_put_back():
    before = [vars(one).get("fit") for one in (StandardScaler, LogisticRegression, Pipeline, GridSearchCV)]
    with pytest.raises(ZeroDivisionError), recording.recording(np.eye(4)):  # noqa: PT012
        assert vars(StandardScaler)["fit"] is not before[0]
        1 / 0  # noqa: B018
    assert [vars(one).get("fit") for one in (StandardScaler, LogisticRegression, Pipeline, GridSearchCV)] == before

import polars as pl
import pytest

from forgeline.engine import protected


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("sex", "sex"),
        ("ApplicantSex", "sex"),
        ("género", "sex"),
        ("Geschlecht", "sex"),
        ("RACE1", "race"),
        ("ethnic.group", "race"),
        ("Age(years)", "age"),
        ("age_at_diagnosis", "age"),
        ("SeniorCitizen", "age"),
        ("date_of_birth", "age"),
        ("dob", "age"),
        ("native-country", "nationality"),
        ("foreign_worker", "nationality"),
        ("marital-status", "marital status"),
        ("estado civil", "marital status"),
        ("Religion", "religion"),
        ("DISABILITY", "disability"),
        ("pregnant", "pregnancy"),
        ("sexual_orientation", "sexual orientation"),
        *(
            (name, "")
            for name in [
                "stage",
                "page",
                "average",
                "package",
                "sexagesimal",
                "race_time",
                "raceDistance",
                "birth_weight",
            ]
        ),
        *(
            (name, "")
            for name in ["house_age", "HouseAge", "housingMedianAge", "vehicle_age", "image_orientation", "country"]
        ),
        ("", ""),
    ],
)
def test_names(name, attribute):
    assert protected.by_name(name) == attribute


@pytest.mark.parametrize(
    ("values", "attribute"),
    [
        (["Male", "female", "unknown"], "sex"),
        (["Mann", "Frau"], "sex"),
        (["M", "F"], ""),  # misdemeanour and felony
        (["White", "Black", "Asian-Pac-Islander", "Other"], "race"),
        (["white", "black", "red"], ""),
        (["Italian", "Asian", "African"], ""),
        (["Catholic", "Muslim", "none"], "religion"),
        (["single", "married", "divorced"], "marital status"),
        (["single", "double", "suite"], ""),
        (["Husband", "Wife", "Own-child"], "marital status"),
        (["heterosexual", "gay", "bisexual"], "sexual orientation"),
        (["yes", "no"], ""),
    ],
)
def test_values(values, attribute):
    assert protected.by_values(values, [1 / len(values)] * len(values)) == attribute


def test_what_a_name_says_must_be_possible():
    nan = float("nan")
    assert protected.believable("age", "age", pl.Float64(), 70, (18.0, 93.0))
    assert not protected.believable("age", "age", pl.Float64(), 300, (1.0, 365.0))
    assert protected.believable("age", "birth_year", pl.Int64(), 70, (1920.0, 2001.0))
    assert protected.believable("sex", "sex", pl.String(), 3, (nan, nan))
    assert not protected.believable("sex", "sex_ratio", pl.Float64(), 800, (0.0, 1.0))

from forgeline.errors import BadInput, BudgetSpent, Busy, Stop, choices


def test_one_message_with_place_choice_and_remedy():
    error = BadInput("unknown key metrik", where="spec [plan]", asked="metrik", known=["metric"], remedy="See docs.")
    assert str(error) == "spec [plan]: unknown key metrik. Did you mean metric? Known: metric. See docs."
    assert str(BadInput("empty")) == "empty."


def test_exit_codes():
    assert [kind.exit_code for kind in (Stop, BadInput, Busy, BudgetSpent)] == [1, 2, 2, 4]


def test_choices():
    assert choices("x", []) == ""
    assert choices("zzz", ["b", "a", "a"]) == "Known: a, b."
    assert choices("n3", [f"n{i}" for i in range(25)]).endswith("and 5 more.")

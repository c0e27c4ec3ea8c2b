from forgeline.engine.search import Range, suggest
from forgeline.engine.seeds import Seed

RANGES = {
    "rate": Range(0.01, 0.3),
    "leaves": Range(3, 255, "whole"),
    "share": Range(0.2, 1.0, "linear"),
    "layers": Range(0, 4, "whole"),
}


def tried(count, near):
    """Settings and losses that fall towards `near`."""
    found = []
    for step in range(count):
        rate = 0.01 * 30 ** (step / (count - 1))
        setting = {"rate": rate, "leaves": 3 + 7 * step, "share": 0.6, "layers": step % 4, "trees": 100}
        found.append((setting, abs(rate - near)))
    return found


def test_suggestions_are_in_range_and_of_their_type():
    for setting in suggest(RANGES, tried(3, 0.05), 20, Seed(1)):
        assert setting.keys() == RANGES.keys()
        assert 0.01 <= setting["rate"] <= 0.3
        assert 0.2 <= setting["share"] <= 1.0
        assert isinstance(setting["leaves"], int)
        assert 3 <= setting["leaves"] <= 255
        assert setting["layers"] in range(5)


def test_they_are_a_function_of_the_seed_and_of_what_was_tried():
    one = suggest(RANGES, tried(12, 0.05), 4, Seed(1))
    assert one == suggest(RANGES, tried(12, 0.05), 4, Seed(1))
    assert one != suggest(RANGES, tried(12, 0.05), 4, Seed(2))
    assert one != suggest(RANGES, tried(12, 0.2), 4, Seed(1))
    assert len({str(setting) for setting in one}) == 4


def test_they_come_closer_to_what_was_good():
    draws = [s["rate"] for seed in range(5) for s in suggest({"rate": RANGES["rate"]}, tried(30, 0.02), 8, Seed(seed))]
    assert sum(rate < 0.06 for rate in draws) > len(draws) * 0.6


def test_what_was_tried_out_of_range_counts_at_its_end():
    setting = {"rate": 1.0, "leaves": 1, "share": 2.0, "layers": 9}
    assert len(suggest(RANGES, [(setting, 1.0)], 2, Seed(0))) == 2

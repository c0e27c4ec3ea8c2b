"""Who competes on raw columns, and how texts are read."""

from dataclasses import replace

import pytest

from forgeline import kinds, networks, spec
from forgeline.engine.transformer import Architecture
from forgeline.networks import Evidence
from forgeline.portfolio import Order, Portfolio
from forgeline.stages import plan

LEARNED = Portfolio(about="made up", points={}, orders=[Order(most_rows=10**9, rows=1_000, task="binary", names=[])])
MINI = Architecture(layers=6, width=384, heads=12, inner=1536, vocabulary=30_522, positions=512)
TEXTS = kinds.Shape(
    *(4_000, 201, "binary", 2, 200),
    words=(20.0,),
    tokens=(25.0,),
    encoder=MINI,
    embedded=384,
    plain=0,
)
BETTER, ALIKE, WORSE = Evidence(0.5, 0.4, 0.01, 999), Evidence(0.4, 0.41, 0.01, 999), Evidence(0.4, 0.5, 0.01, 999)
FAMILIES = ["linear", "tfidf", "frozen", "finetuned", "transformer"]


def ordered(shape=TEXTS, allowed=1_000.0, found=ALIKE, cores=2, families=FAMILIES, asked=frozenset(), **more):
    priced = plan.candidates(spec.Train(families=list(families)), shape, LEARNED)
    return networks.ordered(priced, dict.fromkeys(asked, True), shape, 2, allowed, cores, found, **more)


def test_what_the_evidence_says():
    assert [each.fit for each in (BETTER, ALIKE, WORSE)] == ["better", "alike", "worse"]


@pytest.mark.parametrize(
    ("found", "allowed", "way"),
    [
        (BETTER, 1_000.0, "fine-tuned"),
        (ALIKE, 1_000.0, "fine-tuned"),
        (None, 1_000.0, "fine-tuned"),
        (BETTER, 60.0, "head only"),
        (WORSE, 1_000.0, "from scratch"),
        (WORSE, 60.0, "from scratch"),
    ],
)
def test_texts_are_read_as_evidence_and_budget_say(found, allowed, way):
    candidates, decision = ordered(allowed=allowed, found=found)
    assert decision.way == way
    assert decision.why
    assert decision.otherwise
    there = {each.family for each in candidates}
    assert ("finetuned" in there) == (way == "fine-tuned")
    assert ("transformer" in there) == (way != "fine-tuned")
    assert {"linear", "tfidf", "frozen"} <= there


def test_without_an_encoder_there_is_nothing_to_decide():
    bare = replace(TEXTS, tokens=(), encoder=None, embedded=0)
    candidates, decision = ordered(bare, found=None)
    assert decision.way == ""
    assert [each.family for each in candidates][:3] == ["linear", "tfidf", "transformer"]


def test_few_texts_are_not_read_from_scratch_unasked():
    few = replace(TEXTS, rows=500, tokens=(), encoder=None, embedded=0)
    assert "transformer" not in {each.family for each in ordered(few, found=None)[0]}


def test_what_is_quick_comes_first_and_the_network_fits_the_time():
    candidates, _ = ordered(allowed=600.0)
    assert [each.family for each in candidates][:4] == ["linear", "frozen", "tfidf", "finetuned"]
    assert 2 * candidates[3].cost.work <= networks.ALONE * 600


def test_time_for_answering_is_kept():
    plenty, short = (ordered(allowed=600.0, rows=rows)[0][3].cost.work for rows in (0, 20_000))
    assert short < 0.9 * plenty


def test_more_time_gives_more_epochs_up_to_what_helps():
    epochs = [ordered(allowed=allowed)[0][3].setting["epochs"] for allowed in (200.0, 400.0, 9e9)]
    assert epochs == sorted(epochs)
    assert epochs[-1] == 1.25


def test_a_setting_that_was_asked_for_stays():
    families = ["linear", {"use": "finetuned", "tuned": "lora", "epochs": 7.0}]
    candidates, _ = ordered(families=families, asked={"finetuned"})
    assert [each.setting["epochs"] for each in candidates if each.family == "finetuned"] == [7.0]


def test_tables_without_raw_columns_stay_as_they_are():
    plain = kinds.Shape(1_000, 5, "binary", 2)
    priced = plan.candidates(spec.Train(families=["linear"]), plain, LEARNED)
    assert networks.ordered(priced, {}, plain, 5, 100.0, None, None)[0] == priced


def test_the_table_says_what_each_way_takes():
    candidates, decision = ordered()
    encoder = type("Encoder", (), {"name": "mini", "parameters": 22_000_000, "licence": ""})
    sheet = networks.table(decision, ALIKE, encoder, candidates)
    assert [row[0] for row in sheet.rows if row[-1]] == ["fine-tuned"]
    assert "licence unknown" in sheet.note
    assert "as well as words" in sheet.note

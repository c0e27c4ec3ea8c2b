import msgspec
import pytest

from forgeline import spec
from forgeline.errors import BadInput

FULL = """
seed = 7
[snapshot]
source = "adult.csv"
target = "income"
positive = ">50K"
types = {age = "number", "zip code" = "category"}
drop = ["id"]
[split]
share = 0.25
by = "household"
[assess]
protected = ["sex"]
[[assess.checks]]
use = "missing"
most = 0.5
[[assess.accept]]
code = "leak.target_copy"
columns = ["casual"]
by = "Ada"
reason = "known \\"before\\" the ride"
[refine]
apply = ["safe", "quality.duplicate"]
use_protected = false
[plan]
metric = "roc_auc"
[train]
families = ["linear", {use = "lightgbm", trees = 50}]
[compress]
most_loss = 1e-6
[evaluate]
threshold = 0.3
[release]
name = "größe"
[budget]
time = "60s"
memory = "6GB"
workers = 2
[gates]
"test.roc_auc" = "low >= 0.90"
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "forgeline.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(call, *arguments):
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    return str(caught.value)


# ---------------------------------------------------------------- reading


def test_every_key_reaches_its_section(write):
    ask = spec.read(write(FULL))
    assert (ask.seed, ask.snapshot.target, ask.snapshot.positive) == (7, "income", ">50K")
    assert ask.snapshot.types == {"age": "number", "zip code": "category"}
    assert ask.assess.checks == [{"use": "missing", "most": 0.5}]
    assert ask.assess.accept[0].by == "Ada"
    assert ask.train.families == ["linear", {"use": "lightgbm", "trees": 50}]
    assert ask.gates == {"test.roc_auc": "low >= 0.90"}
    assert (ask.budget.seconds, ask.budget.units, ask.budget.memory_bytes) == (60.0, None, 6_000_000_000)


@pytest.mark.parametrize("text", ["", FULL])
def test_what_is_encoded_reads_back_the_same(write, text):
    ask = spec.read(write(text))
    assert spec.read(write(spec.encode(ask))) == ask


def test_a_label_keeps_its_type_through_the_file(write):
    for positive in ("1", 1, 1.5, True, 'quote " and \\ slash', "日本\n"):
        ask = spec.check({"snapshot": {"positive": positive}})
        back = spec.read(write(spec.encode(ask))).snapshot.positive
        assert (back, type(back)) == (positive, type(positive))


def test_a_folder_is_read_through_its_spec(write):
    assert spec.read(write(FULL).parent).seed == 7


def test_defaults():
    ask = spec.check({})
    assert (ask.split.share, ask.refine.apply, ask.compress.most_loss, ask.evaluate.threshold) == (
        *(0.2, "safe"),
        *(0.002, 0.5),
    )
    assert (ask.budget.units, ask.budget.seconds, ask.budget.memory_bytes) == (100.0, None, None)


def test_a_spec_is_frozen():
    with pytest.raises(AttributeError):
        spec.check({}).seed = 1


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"snapshot": {"targt": "y"}}, ["unknown key targt", "[snapshot]", "Did you mean target?"]),
        ({"trian": {}}, ["unknown key trian", "Did you mean train?"]),
        ({"split": 3}, ["split is a section", "Write [split]"]),
        ({"split": {"share": 1.0}}, ["share"]),
        ({"split": {"share": "a fifth"}}, ["split.share", '"a fifth"', "a number > 0 and < 1"]),
        ({"seed": -1}, ["seed"]),
        ({"evaluate": {"threshold": 1.1}}, ["threshold"]),
        ({"refine": {"apply": "all"}}, ["refine.apply"]),
        ({"snapshot": {"types": {"age": "int"}}}, ["snapshot.types"]),
        ({"assess": {"accept": [{"code": "x", "by": "me"}]}}, ["reason"]),
        ({"budget": {"work": 5, "time": "60s"}}, ["work and time are both set", "Keep one"]),
        ({"budget": {"work": 0}}, ["work"]),
        ({"budget": {"time": "soon"}}, ["'soon' is no duration", "60s"]),
        ({"budget": {"memory": "lots"}}, ["'lots' is no size", "6GB"]),
        ({"budget": {"memory": "10MB"}}, ["less than a run needs", "256MB"]),
        ({"budget": {"workers": 0}}, ["workers"]),
        ({"gates": {"test.roc_auc": "low => 0.9"}}, ["is no condition", "low >= 0.90"]),
    ],
)
def test_a_bad_key_or_value_is_named_with_its_place(asked, says):
    message = refused(spec.check, asked)
    for text in says:
        assert text in message


def test_the_least_memory_is_the_one_that_is_asked_for():
    assert spec.check({"budget": {"memory": "256MB"}}).budget.memory_bytes == 256 * 10**6
    assert "Give at least 256MB" in refused(spec.check, {"budget": {"memory": "255MB"}})


def test_unreadable_files_are_named(write, tmp_path):
    assert "no such spec" in refused(spec.read, tmp_path / "none.toml")
    path = write("[snapshot\n")
    assert str(path) in refused(spec.read, path)
    assert "unknown key a" in refused(spec.read, write("a = 1\n"))


# ---------------------------------------------------------------- --set


def test_override_puts_values_in_place():
    asked = {"snapshot": {"target": "y"}}
    sets = ["budget.work=5", "snapshot.positive=>50K", 'assess.protected=["sex"]', "refine.use_protected=false"]
    assert spec.override(asked, sets) == {
        "snapshot": {"target": "y", "positive": ">50K"},
        "budget": {"work": 5},
        "assess": {"protected": ["sex"]},
        "refine": {"use_protected": False},
    }
    assert asked == {"snapshot": {"target": "y"}}


def test_override_of_a_gate_keeps_the_dots_of_its_number():
    for place in ("gates.test.roc_auc", 'gates."test.roc_auc"'):
        assert spec.override({}, [f"{place}=low >= 0.9"]) == {"gates": {"test.roc_auc": "low >= 0.9"}}


def test_override_of_the_seed():
    assert spec.check(spec.override({}, ["seed=3"])).seed == 3


def test_override_without_a_value_is_refused():
    assert "--set budget.work is not section.key=value" in refused(spec.override, {}, ["budget.work"])
    assert "--set =3" in refused(spec.override, {}, ["=3"])


def test_override_below_a_value_is_refused():
    assert "seed is no section" in refused(spec.override, {"seed": 1}, ["seed.x=2"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("true", True),
        ('["a"]', ["a"]),
        (">50K", ">50K"),
        ('"1"', "1"),
        ("a = b", "a = b"),
        ("", ""),
    ],
)
def test_toml_value(text, value):
    assert spec.toml_value(text) == value


# ---------------------------------------------------------------- durations, sizes, gates


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("60s", 60), ("1.5m", 90), ("2 h", 7200), ("250ms", 0.25), ("3min", 180)]
)
def test_parse_seconds(text, seconds):
    assert spec.parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5s", "5 days", "s", "1e3s"])
def test_no_duration(text):
    assert "is no duration" in refused(spec.parse_seconds, text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("6GB", 6 * 10**9),
        ("512 MB", 512 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("2k", 2000),
        ("1KiB", 1024),
    ],
)
def test_parse_bytes(text, size):
    assert spec.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "6 XB", "6GBs"])
def test_no_size(text):
    assert "is no size" in refused(spec.parse_bytes, text)


@pytest.mark.parametrize(
    ("condition", "side", "relation", "bound"),
    [
        ("low >= 0.90", "low", ">=", 0.9),
        ("== 0", "value", "==", 0.0),
        ("low>=.9", "low", ">=", 0.9),
        (" high<1e-3 ", "high", "<", 0.001),
        ("value != -2.5", "value", "!=", -2.5),
    ],
)
def test_parse_gate(condition, side, relation, bound):
    assert spec.parse_gate("test.rmse", condition) == spec.Gate("test.rmse", side, relation, bound)


def test_a_gate_is_shown_as_it_is_written():
    assert spec.parse_gate("test.roc_auc", "low >= 0.90").text == "test.roc_auc low >= 0.9"
    assert spec.parse_gate("findings.blocking", "== 0").text == "findings.blocking == 0"


@pytest.mark.parametrize("condition", ["", "0.9", ">=", "low 0.9", "mean >= 1", ">= high", "=> 0.9", ">= 0.9 or 1"])
def test_no_condition(condition):
    assert "is no condition" in refused(spec.parse_gate, "test.rmse", condition)


def test_sections_stand_in_the_order_of_the_line():
    from forgeline.records import STAGES

    names = [field.name for field in msgspec.structs.fields(spec.Spec)]
    assert [name for name in names if name in STAGES] == list(STAGES)

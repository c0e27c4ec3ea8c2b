"""Whole lines over texts: from files to a release that says what new texts are about."""

import json
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import said

import forgeline as fl
from forgeline.errors import BadInput
from forgeline.serving.reader import BadRows, Reader

FINETUNED = {"use": "finetuned", "epochs": 12.0, "batch": 16, "rate": 0.01, "head_rate": 0.03}
SCRATCH = {"use": "transformer", "width": 32, "layers": 1, "epochs": 4.0, "batch": 32, "rate": 0.003}


def table(count=600, **options):
    texts, about = said.sentences(count, **options)
    return pl.DataFrame({"text": texts, "about": about})


def run(source, place, *, families=("linear", "tfidf"), **options):
    asked = {"target": "about", "work": 6, "train": {"families": list(families)}} | options
    return fl.run(source if isinstance(source, pl.DataFrame) else str(source), store=place / "store", **asked)


def facts(run, stage):
    return next(record.facts for record in run.records if record.stage == stage)


def tables(run, stage):
    return {each.title: each for record in run.records if record.stage == stage for each in record.tables}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A run whose texts an encoder reads, trained further, as it is, and beside words and a network from scratch."""
    place = tmp_path_factory.mktemp("texts")
    encoder = said.write_encoder(place / "encoder")
    families = ["linear", "tfidf", "frozen", FINETUNED, SCRATCH]
    return run(table(), place, families=families, work=120, refine={"encoder": str(encoder)})


def test_words_are_counted(tmp_path):
    done = run(table(), tmp_path)
    assert done.verdict == "passed"
    assert done.numbers["test.accuracy"].value > 0.95
    assert facts(done, "refine").texts["text"] == pytest.approx(9.5, abs=1.0)


def test_every_way_of_reading_texts_competes(read):
    units = [json.loads(line) for line in (read.folder / "work.log").read_text().splitlines()]
    probed = {line["unit"]["candidate"].partition("-")[0] for line in units if line["do"] == "unit"}
    assert probed == {"linear", "tfidf", "frozen", "finetuned", "transformer"}
    assert not [finding for record in read.records for finding in record.findings if finding.code == "train.lost"]


def test_the_plan_says_how_texts_are_read_and_why(read):
    sheet = tables(read, "plan")["Pretrained or from scratch"]
    assert "licence apache-2.0" in sheet.note
    assert "What would change it" in sheet.note
    assert [row[0] for row in sheet.rows][-2:] == ["head only", "fine-tuned"]
    networks = tables(read, "plan")["Networks"]
    assert {row[0] for row in networks.rows} == {"finetuned-1", "transformer-1"}


def test_the_record_names_the_encoder(read):
    found = facts(read, "refine").encoder
    assert (found.licence, found.layers, found.width, found.embedded) == ("apache-2.0", 2, 32, True)
    assert found.parameters == said.SMALL.parameters


@pytest.fixture(scope="module")
def release(read, tmp_path_factory):
    """A release whose model reads tokens: of the encoder trained further alone."""
    place = tmp_path_factory.mktemp("tokens")
    encoder = said.write_encoder(place / "encoder")
    done = run(table(), place, families=[FINETUNED], work=60, refine={"encoder": str(encoder)})
    assert done.numbers["test.accuracy"].value > 0.8
    return done.folder / "release"


def test_a_release_answers_alike_whatever_the_batch(release):
    texts, _ = said.sentences(90, seed=5)
    texts[7], texts[8] = "", "words " * 300
    reader = Reader(release)
    whole = reader.predict({"text": texts}).probabilities
    for size in (1, 2, 7, 64):
        parts = [reader.predict({"text": texts[at : at + size]}).probabilities for at in range(0, 90, size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_release_stands_alone(release, tmp_path):
    texts, _ = said.sentences(20, seed=6)
    pl.DataFrame({"text": texts}).write_csv(tmp_path / "new.csv")
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    asked = [sys.executable, "-I", str(copy / "predict.py"), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]
    subprocess.run(asked, check=True, capture_output=True)
    told = pl.read_csv(tmp_path / "out.csv")
    ours = Reader(release).predict({"text": texts}).probabilities
    assert np.allclose(told.select(pl.exclude("prediction")).to_numpy(), ours, atol=1e-6)


def test_a_release_says_whose_weights_it_holds(release, read):
    told = json.loads((release / "forgeline.json").read_text())["encoder"]
    assert told["licence"] == "apache-2.0"
    assert "licence apache-2.0" in (release / "README.md").read_text()
    kept = {each.family for each in facts(read, "compress").kept}
    if not kept & {"frozen", "finetuned"}:
        assert not (read.folder / "release" / "tokenizer.json").exists()


def test_an_encoder_without_texts_is_told(tmp_path):
    encoder = said.write_encoder(tmp_path / "encoder")
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    frame = pl.DataFrame({"x": x, "about": np.where(x > 0, "a", "b")})
    done = run(frame, tmp_path, families=["linear"], refine={"encoder": str(encoder)})
    codes = [finding.code for record in done.records for finding in record.findings]
    assert "spec.encoder_unused" in codes


def test_a_column_of_texts_without_words_that_come_twice(tmp_path):
    """No word is a feature, so the recipe has nothing of it; families that read texts still have their column."""
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{int(each)}" for each in draw.integers(0, 10**9, 6)) for _ in range(240)]
    x = draw.normal(size=240)
    frame = pl.DataFrame({"note": texts, "x": x, "about": np.where(x > 0, "a", "b")})
    done = run(frame, tmp_path)
    assert done.numbers["test.accuracy"].value > 0.9
    assert done.release.predict(frame.head(3)).height == 3


def test_a_tokenizer_that_was_changed_is_refused(release, tmp_path):
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("otter", "owl"))
    with pytest.raises(BadRows, match=r"tampered release: tokenizer\.json"):
        Reader(copy)


def test_the_same_texts_end_in_the_same_digest(tmp_path):
    encoder = said.write_encoder(tmp_path / "encoder")
    families = ["tfidf", "frozen", FINETUNED | {"epochs": 1.0}, SCRATCH | {"epochs": 1.0}]
    both = [
        run(table(300), tmp_path / name, families=families, work=60, refine={"encoder": str(encoder)})
        for name in ("one", "other")
    ]
    assert both[0].digest == both[1].digest
    assert fl.session.verify(both[0].folder, store=fl.session.Store(tmp_path / "one" / "store"), quiet=True)["equal"]


def test_texts_beside_other_columns(tmp_path):
    """A number tells half of it, the text the other half."""
    frame = table(500, noise=0.5)
    draw = np.random.default_rng(0)
    height = [said.LABELS.index(each) + draw.normal(scale=0.6) for each in frame["about"]]
    mixed = frame.with_columns(pl.Series("height", height))
    both, alone = (
        run(each, tmp_path / str(place), families=["tfidf", "linear"])
        for place, each in enumerate((mixed, mixed.drop("text")))
    )
    assert both.numbers["cv.accuracy"].value > alone.numbers["cv.accuracy"].value + 0.05


@pytest.mark.parametrize("form", ["folders", "a file each", "json lines"])
def test_texts_in_folders(form, tmp_path):
    texts, about = said.sentences(240, seed=2)
    data = tmp_path / "data"
    data.mkdir()
    if form == "json lines":
        lines = [json.dumps({"text": text, "about": what}) for text, what in zip(texts, about)]
        (data / "rows.jsonl").write_text("\n".join(lines))
    for place, (text, what) in enumerate(zip(texts, about)):
        if form == "folders":
            (data / what).mkdir(exist_ok=True)
            (data / what / f"{place}.txt").write_text(text)
        elif form == "a file each":
            with (data / f"{what}.txt").open("a") as file:
                file.write(f"{text}\n\n")
    done = run(data, tmp_path, target="about" if form == "json lines" else "label")
    assert done.numbers["test.accuracy"].value > 0.9
    assert facts(done, "snapshot").rows == 240


def test_an_empty_text_is_answered(tmp_path):
    frame = table(200).with_columns(text=pl.when(pl.int_range(200) % 20 == 0).then(None).otherwise(pl.col("text")))
    done = run(frame, tmp_path)
    answers = done.release.predict(pl.DataFrame({"text": ["", None, "The old otter was near."]}))
    assert answers.height == 3


@pytest.mark.parametrize(
    ("without", "changes", "says"),
    [
        (["model.safetensors"], {}, "model.safetensors is missing"),
        (["tokenizer.json"], {}, "tokenizer.json is missing"),
        ([], {"model_type": "gpt2"}, "model_type gpt2 .* is not supported"),
        ([], {"hidden_size": 48}, "has shape .*, not"),
        ([], {"num_hidden_layers": 3}, "is missing"),
    ],
)
def test_a_folder_that_is_no_encoder(without, changes, says, tmp_path):
    folder = said.write_encoder(tmp_path / "encoder", without=without, **changes)
    with pytest.raises(BadInput, match=says):
        run(table(100), tmp_path, refine={"encoder": str(folder)})
    assert not list((tmp_path / "store").glob("runs/*"))


def test_an_encoder_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="no folder nowhere"):
        run(table(100), tmp_path, refine={"encoder": "nowhere"})


def test_weights_that_are_damaged(tmp_path):
    folder = said.write_encoder(tmp_path / "encoder")
    (folder / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(BadInput, match="the weights cannot be read"):
        run(table(100), tmp_path, refine={"encoder": str(folder)})


def test_a_tokenizer_of_another_kind(tmp_path):
    folder = said.write_encoder(tmp_path / "encoder")
    told = json.loads((folder / "tokenizer.json").read_text())
    told["model"]["type"] = "BPE"
    (folder / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="model BPE"):
        run(table(100), tmp_path, refine={"encoder": str(folder)})

import pytest

from forgeline.engine.journal import Journal
from forgeline.engine.store import read_lines


def journal(path, steps):
    made = Journal(path, ("loss", "rate"))
    for step in steps:
        made.note(step, (1 / step, 0.1))
    return made


def test_lines_are_written_when_asked(tmp_path):
    made = journal(tmp_path / "metrics.jsonl", range(1, 4))
    assert list(read_lines(made.path)) == []
    made.write(made.take())
    assert [line["step"] for line in read_lines(made.path)] == [1, 2, 3]
    assert list(read_lines(made.path))[1] == {"step": 2, "loss": 0.5, "rate": 0.1}
    assert made.take() == []


def test_what_came_after_the_mark_is_forgotten(tmp_path):
    made = journal(tmp_path / "metrics.jsonl", range(1, 4))
    made.write(made.take())
    mark = made.mark
    made.note(4, (9.0, 0.1))
    made.write(made.take())
    with made.path.open("ab") as file:
        file.write(b'{"step":5,"lo')  # a kill in the middle of a line
    again = Journal(made.path, made.names)
    assert again.rewind(mark)
    assert [line["step"] for line in read_lines(made.path)] == [1, 2, 3]
    again.note(4, (0.25, 0.1))
    again.write(again.take())
    assert list(read_lines(made.path))[-1] == {"step": 4, "loss": 0.25, "rate": 0.1}


def test_a_mark_on_other_bytes_is_refused(tmp_path):
    made = journal(tmp_path / "metrics.jsonl", range(1, 4))
    made.write(made.take())
    mark, data = made.mark, made.path.read_bytes()
    made.path.write_bytes(data.replace(b"0.5", b"0.7"))
    assert not Journal(made.path, made.names).rewind(mark)
    made.path.write_bytes(data[:-10])
    assert not Journal(made.path, made.names).rewind(mark)
    assert made.path.read_bytes() == data[:-10]


def test_no_mark_means_from_the_start(tmp_path):
    made = journal(tmp_path / "new" / "metrics.jsonl", [])
    assert made.rewind(None)
    assert made.path.read_bytes() == b""


def test_what_is_not_finite_is_null(tmp_path):
    made = Journal(tmp_path / "metrics.jsonl", ("loss",))
    made.note(1, (float("nan"),))
    made.write(made.take())
    assert list(read_lines(made.path)) == [{"step": 1, "loss": None}]


def test_tensors_are_fetched_together(tmp_path):
    torch = pytest.importorskip("torch")
    made = Journal(tmp_path / "metrics.jsonl", ("loss", "rate"))
    made.note(1, (torch.tensor(0.5), 0.1))
    made.note(2, (torch.tensor(0.25), 0.1))
    made.write(made.take())
    assert [line["loss"] for line in read_lines(made.path)] == [0.5, 0.25]

"""The online server, really started: answers, errors, tokens, stopping."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from forgeline.serving.reader import BadRows, Reader
from forgeline.serving.server import LARGEST_BYTES, listen, serve

START = """
import sys
from pathlib import Path
from forgeline.serving.server import serve
token = Path(sys.argv[3]) if len(sys.argv) > 3 else None
serve(Path(sys.argv[1]), sys.argv[2], 0, token, lambda url: print(url, flush=True))
print("stopped")
"""
SIZES = [1, 2, 3, 31, 64, 1000]


@contextmanager
def running(release, host="127.0.0.1", *token):
    """A server process and its URL; stopped at the end."""
    command = [sys.executable, "-c", START, str(release), host, *map(str, token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def ask(url, method, path, body=None, **headers):
    """Status, headers and decoded JSON of one request on a connection of its own."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read())
    finally:
        connection.close()


def predict(url, rows, **headers):
    return ask(url, "POST", "/predict", json.dumps({"rows": rows}), **headers)


@pytest.fixture(scope="module")
def url(releases):
    with running(releases["binary"]) as (_, url):
        yield url


def inputs(rows):
    return [{name: row[name] for name in ("age", "city", "when")} for row in rows]


@pytest.mark.parametrize("size", SIZES)
def test_answers_are_bit_equal_to_the_reader_s(url, releases, rows, size):
    status, headers, answer = predict(url, inputs(rows[:size]))
    columns = {name: [row[name] for row in rows] for name in ("age", "city", "when")}
    found = Reader(releases["binary"]).predict(columns)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert answer["predictions"] == found.labels[:size]
    named = [dict(zip(["<=50K", ">50K"], row)) for row in found.probabilities[:size].tolist()]
    assert answer["probabilities"] == named


def test_regression_has_no_probabilities(releases, rows):
    with running(releases["regression"]) as (_, url):
        answer = predict(url, inputs(rows[:3]))[2]
    columns = {name: [row[name] for row in rows[:3]] for name in ("age", "city", "when")}
    assert answer["predictions"] == Reader(releases["regression"]).predict(columns).labels
    assert answer["probabilities"] is None


def test_health(url):
    assert ask(url, "GET", "/health")[::2] == (200, {"status": "ok", "release": "visits", "digest": "abc"})


def test_no_rows_and_clean_rows_have_no_notes(url):
    assert predict(url, [])[2] == {"predictions": [], "probabilities": []}
    assert predict(url, [{"age": 1, "city": "Oslo", "when": 0}])[2].keys() == {"predictions", "probabilities"}


def test_keys_that_some_rows_lack_are_missing_there_and_odd_cells_are_noted(url):
    rows = [
        {"age": 1, "city": "x", "when": None},
        {"age": 1, "when": "soon"},
        {"age": 1, "city": None, "id": 7},
    ]
    status, _, answer = predict(url, rows)
    assert status == 200
    assert answer["probabilities"][1] == answer["probabilities"][2]
    assert answer["notes"] == [
        "never seen in training: city (1 cells)",
        "no date, so taken as missing: when (1 cells)",
        "not read by the model: id",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/", None, 404, "there is no /. Known: POST /predict, GET /health."),
        ("GET", "/predict", None, 405, "/predict does not take GET. Send POST."),
        ("POST", "/health", "{}", 405, "/health does not take POST. Send GET."),
        ("POST", "/predict", "", 400, "the body is not JSON ("),
        ("POST", "/predict", "{", 400, "the body is not JSON ("),
        ("POST", "/predict", b"\xff", 400, "the body is not JSON ("),
        ("POST", "/predict", "[]", 422, "Expected `object`, got `array`. Send {"),
        ("POST", "/predict", '{"row": []}', 422, "missing required field `rows`"),
        ("POST", "/predict", '{"rows": [{"age": [1]}]}', 422, "got `array` - at `$.rows[0][...]`"),
        (
            "POST",
            "/predict",
            '{"rows": [{"age": 1, "City": 1}]}',
            422,
            "column city is missing. Is it City? Given:",
        ),
    ],
)
def test_errors_are_json(url, method, path, body, status, message):
    found, headers, answer = ask(url, method, path, body)
    assert found == status
    assert answer.keys() == {"error"}
    assert message in answer["error"]
    assert ("allow" in headers) == (status == 405)


def test_a_body_that_is_too_long_is_refused(url):
    status, _, answer = ask(url, "POST", "/predict", b" " * (LARGEST_BYTES + 1))
    assert status == 413
    assert answer["error"] == f"the body is longer than {LARGEST_BYTES} bytes. Send fewer rows at a time."


def test_a_token_is_asked_for(releases, tmp_path):
    (tmp_path / "token").write_text("open sesame\n")
    row = [{"age": 1, "city": "Oslo", "when": 0}]
    with running(releases["binary"], "0.0.0.0", tmp_path / "token") as (_, url):
        here = url.replace("0.0.0.0", "127.0.0.1")
        assert predict(here, row, Authorization="Bearer open sesame")[0] == 200
        for headers in ({}, {"Authorization": "Bearer open sesam"}, {"Authorization": "open sesame"}):
            status, told, answer = predict(here, row, **headers)
            assert (status, told["www-authenticate"]) == (401, "Bearer")
            assert answer["error"].startswith("the token is missing or wrong.")
        assert ask(here, "GET", "/health")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_well(releases, number):
    with running(releases["binary"]) as (process, url):
        assert ask(url, "GET", "/health")[0] == 200
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == "stopped\n"
        assert process.stderr.read() == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_public_address_needs_a_token(releases, host):
    with pytest.raises(BadRows, match=r"others can reach this address, so it needs a token\. Give --token-file"):
        serve(releases["binary"], host, 0, None, print)


def test_loopback_has_many_names():
    for host in ("127.0.0.1", "127.0.0.2", "localhost"):
        listen(host, 0, public=False).close()


def test_answers_are_not_held_back():
    with listen("127.0.0.1", 0, public=False) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_cannot_be_served(releases, tmp_path):
    (tmp_path / "token").write_text(" \n")
    with pytest.raises(BadRows, match="token: the token file is empty"):
        serve(releases["binary"], "127.0.0.1", 0, tmp_path / "token", print)
    with pytest.raises(BadRows, match="this is no release"):
        serve(tmp_path, "127.0.0.1", 0, None, print)
    with listen("127.0.0.1", 0, public=False) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadRows, match=rf"--port {port}: cannot listen \(Address already in use\). Give another"):
            serve(releases["binary"], "127.0.0.1", port, None, print)
    for host, port in (("no.such.host.invalid", 0), ("", 0)):
        with pytest.raises(BadRows, match=rf"--host {host} --port {port}: cannot listen \("):
            serve(releases["binary"], host, port, None, print)
    with pytest.raises(BadRows, match="--port 70000: there is no such port"):
        serve(releases["binary"], "127.0.0.1", 70000, None, print)

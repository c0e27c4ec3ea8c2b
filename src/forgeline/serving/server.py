"""Serves a release over HTTP: POST /predict and GET /health, a bare ASGI application under uvicorn."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from forgeline.serving.reader import BadRows, Cells, Reader, content

LARGEST_BYTES = 16 * 2**20
"""Longest body of a request."""
SMALL_BYTES = 32 * 2**10
"""Body, about 64 rows of 20 columns, up to which an answer is worth no thread of its own."""
ROUTES = {"/predict": "POST", "/health": "GET"}

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Question(msgspec.Struct):
    """Body of POST /predict."""

    rows: list[dict[str, str | int | float | bool | None]]


class Answer(msgspec.Struct, omit_defaults=True):
    """What POST /predict answers; `notes` only when something was odd about the rows."""

    predictions: list[Any]
    probabilities: list[dict[str, float]] | None
    notes: list[str] = []


class Refused(Exception):
    """A request that is answered with an error: HTTP status, message, further headers."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


# ---------------------------------------------------------------- answers


def predict(reader: Reader, body: bytes) -> bytes:
    """The answer to a body. Errors: Refused with 400 when it is no JSON, 422 when the rows cannot be used."""
    try:
        question = msgspec.json.decode(body, type=Question)
        found = reader.predict(columns(reader, question.rows))
    except msgspec.ValidationError as error:
        raise Refused(422, f'{error}. Send {{"rows": [{{column: cell}}]}}.') from None
    except msgspec.DecodeError as error:
        raise Refused(400, f'the body is not JSON ({error}). Send {{"rows": [{{column: cell}}]}}.') from None
    except BadRows as error:
        raise Refused(422, str(error)) from None
    scores = None if found.probabilities is None else found.probabilities.tolist()
    named = None if scores is None else [dict(zip(reader.class_names, row)) for row in scores]
    return msgspec.json.encode(Answer(found.labels, named, found.notes))


def columns(reader: Reader, rows: list[dict[str, Any]]) -> dict[str, Cells]:
    """Rows as columns: what some row lacks is missing there, what every row lacks is not there at all."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not rows:
        names = dict.fromkeys(each["name"] for each in reader.inputs)
    return {name: [row.get(name) for row in rows] for name in names}


def health(release: Path) -> bytes:
    """What GET /health answers: that it works, and which release it is."""
    about = json.loads(content(release / "forgeline.json"))
    return msgspec.json.encode({"status": "ok", "release": about["name"], "digest": about["digest"]})


# ---------------------------------------------------------------- HTTP


def application(reader: Reader, healthy: bytes, token: bytes | None) -> Application:
    """The ASGI application that answers with this reader; with a token, /predict asks for it."""

    async def answer(scope: MutableMapping[str, Any], receive: Receive) -> bytes:
        check_route(scope["path"], scope["method"])
        if scope["path"] == "/health":
            return healthy
        if token is not None:
            check_token(dict(scope["headers"]).get(b"authorization", b""), token)
        body = await read_body(receive)
        small = len(body) <= SMALL_BYTES and not reader.sees and not reader.texts
        return predict(reader, body) if small else await asyncio.to_thread(predict, reader, body)

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            await respond(send, 200, await answer(scope, receive))
        except Refused as refused:
            await respond(send, refused.status, msgspec.json.encode({"error": str(refused)}), **refused.headers)

    return app


def check_route(path: str, method: str) -> None:
    """Raise Refused unless the path is there and takes this method."""
    if path not in ROUTES:
        known = ", ".join(f"{verb} {route}" for route, verb in ROUTES.items())
        raise Refused(404, f"there is no {path}. Known: {known}.")
    if method != ROUTES[path]:
        raise Refused(405, f"{path} does not take {method}. Send {ROUTES[path]}.", allow=ROUTES[path])


def check_token(header: bytes, token: bytes) -> None:
    """Raise Refused unless the header carries the token; compared in constant time."""
    if not hmac.compare_digest(header, b"Bearer " + token):
        how = "Send the header Authorization: Bearer TOKEN."
        raise Refused(401, f"the token is missing or wrong. {how}", **{"www-authenticate": "Bearer"})


async def read_body(receive: Receive) -> bytes:
    """The whole body. One that is too long is read to its end, so that the caller is there to hear why."""
    body, length, more = bytearray(), 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        length += len(part)
        body += part if length <= LARGEST_BYTES else b""
        more = message.get("more_body", False)
    if length > LARGEST_BYTES:
        raise Refused(413, f"the body is longer than {LARGEST_BYTES} bytes. Send fewer rows at a time.")
    return bytes(body)


async def respond(send: Send, status: int, body: bytes, **headers: str) -> None:
    """Send JSON."""
    named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    pairs = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


# ---------------------------------------------------------------- the process


def serve(release: Path, host: str, port: int, token_file: Path | None, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    `ready` is told the URL once the socket listens; port 0 picks a free one. Errors: BadRows for a release that
    cannot be used, a port that is taken, or an address that others can reach without a token.
    """
    token = read_token(token_file) if token_file else None
    listening = listen(host, port, public=token is not None)
    with listening:
        reader = Reader(release)
        app = application(reader, health(release), token)
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", timeout_graceful_shutdown=10, **quiet))
        with stopped_by_signals(server):
            ready(url(listening))
            server.run(sockets=[listening])


def read_token(file: Path) -> bytes:
    """The token in a file, without white space around it. Errors: BadRows."""
    token = content(file).strip()
    if not token:
        raise BadRows("the token file is empty", where=file, remedy="Put one long random word in it.")
    return token


def listen(host: str, port: int, *, public: bool) -> socket.socket:
    """A bound socket. Errors: BadRows when it cannot be bound, or is not loopback and need not be `public`."""
    place = f"--host {host} --port {port}"
    if not 0 <= port < 2**16:
        raise BadRows("there is no such port", where=place, remedy="Ports go from 1 to 65535; 0 picks a free one.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not public and not ipaddress.ip_address(address[0]).is_loopback:
            remedy = "Give --token-file FILE, or stay on 127.0.0.1."
            raise BadRows("others can reach this address, so it needs a token", where=place, remedy=remedy)
        listening = socket.create_server(address[:2], family=family, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else head and body wait 40 ms apart
        return listening
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        remedy = "Give another --host or --port; --port 0 picks a free one."
        raise BadRows(f"cannot listen ({reason})", where=place, remedy=remedy) from None


def url(listening: socket.socket) -> str:
    """`http://127.0.0.1:8000` of a socket."""
    host, port, *_ = listening.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGINT and SIGTERM mean a stop that went well.

    uvicorn raises a signal it was stopped by once more after its shutdown, for whoever handled it before; that
    is this handler. Outside the main thread no signal arrives, and none is asked for.
    """

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    try:
        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

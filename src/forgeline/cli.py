"""The command line: verbs; each imports the room it needs when it needs it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from forgeline import __version__
from forgeline.errors import BadInput, Stop

if TYPE_CHECKING:
    from forgeline.session import Run
    from forgeline.spec import Spec


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code: 0 done, 1 internal, 2 bad input, 3 gate, 4 budget, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    signal.signal(signal.SIGTERM, interrupt)
    forget()
    try:
        return run_verb(arguments)
    except Stop as stop:
        return answer(stop, arguments)
    except KeyboardInterrupt:
        return interrupted("--json" in arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def interrupt(number: int, frame: Any) -> None:
    """Let SIGTERM end like Ctrl-C: state is kept."""
    raise KeyboardInterrupt


def answer(stop: Stop, arguments: list[str]) -> int:
    """Say why the program stops, once."""
    run = current_run()
    if "--json" in arguments:
        emit(so_far(run) | ({"error": str(stop), "exit": stop.exit_code} if stop.exit_code != 3 else {}))
    say(f"forgeline: {stop}")
    if stop.exit_code == 3 and run is not None:
        asked, _ = parser().parse_known_args(arguments)
        say(f"\nRun {run.name} is blocked. Report: {run.report}\n{remedy(run, asked)}")
    return stop.exit_code


def interrupted(as_json: bool) -> int:
    """Ctrl-C: what is finished is kept."""
    run = current_run()
    if as_json:
        emit(so_far(run) | {"error": "interrupted", "exit": 130})
    if run is None or not run.folder.exists():
        say("\nforgeline: interrupted; nothing was begun")
    else:
        say(f"\nforgeline: interrupted; what is finished is kept. Go on with:\n  forgeline resume {run.name}")
    return 130


def forget() -> None:
    """Speak of no run that an earlier call in this process has opened."""
    if "forgeline.session" in sys.modules:
        sys.modules["forgeline.session"].OPENED.clear()


def current_run() -> Run | None:
    """The run this process has opened, if any."""
    session = sys.modules.get("forgeline.session")
    return session.OPENED[-1] if session and session.OPENED else None


def so_far(run: Run | None) -> dict[str, Any]:
    """What `run --json` prints of the run this process has opened; nothing when there is none."""
    return run.plain() if run is not None and run.folder.exists() else {}


def remedy(run: Run, asked: argparse.Namespace) -> str:
    """What a person can do about the findings that block."""
    blocking = [each for record in run.records[:2] for each in record.findings if each.severity == "block"]
    fixes = {
        f"{each.fix.do} {', '.join(each.fix.columns)}".rstrip(): each.code
        for each in blocking
        if each.fix and each.fix.by_line
    }
    what = f"the {'fix' if len(fixes) == 1 else 'fixes'} ({'; '.join(fixes)})"
    lines = [f"To apply {what}{with_fixes(run, asked, sorted({*fixes.values()}))}"] if fixes else []
    lines += [f'To sign for it: [[assess.accept]] code = "{each.code}", by, reason' for each in blocking[:1]]
    return "\n".join(lines)


CONFIRM = "Next: {} is the first of the queue, and for a person to confirm. Write it down with --export review.csv"


def next_fix(run: Run, asked: argparse.Namespace) -> str:
    """How to have the first fix applied that waits for somebody, or confirmed first; empty when none waits."""
    from forgeline.board import worth
    from forgeline.remediation import suspected

    record: Any = run.records[1]
    for each in record.facts.queue:
        finding = record.findings[each.finding]
        step = worth.step(finding, run.ask.refine.apply, record.facts.decided)
        if step.command.startswith("--apply"):
            if suspected(finding):
                return CONFIRM.format(finding.code)
            return f"Next, to apply the first fix of the queue{with_fixes(run, asked, [finding.code])}"
    return ""


def with_fixes(run: Run, asked: argparse.Namespace, codes: list[str]) -> str:
    """Where to type what, to run the line on the same data with the fixes of these findings."""
    if asked.verb is verb_resume:
        from forgeline.board.reading import placed, read

        where, command = read(run.folder).again(" ".join(f"--apply {quote(code)}" for code in codes))
        return f"{placed(where)}:\n  {command}"
    given = vars(asked)
    words = ["forgeline", "run", *([asked.data] if asked.data else [])]
    words += [] if run.ask.snapshot.target else ["--target", "COLUMN"]
    for names, details in VERBS["run"][1]:
        value = given.get(names[-1].lstrip("-"))
        if names[0].startswith("--") and value not in (None, details.get("default")):
            words += [
                word for each in (value if isinstance(value, list) else [value]) for word in (names[0], str(each))
            ]
    if given.get("probabilities"):
        words += ["--set", f"assess.probabilities={Path(asked.probabilities).resolve()}"]
    words += [word for code in codes if code not in (given.get("apply") or []) for word in ("--apply", code)]
    return f":\n  {' '.join(map(quote, words))}"


# ---------------------------------------------------------------- arguments


class Parser(argparse.ArgumentParser):
    """argparse that answers like the rest of the program."""

    def error(self, message: str) -> Any:
        """Errors: BadInput with the usage's one line."""
        if "invalid choice" in message:
            asked = message.split("invalid choice: ")[1].split(" ")[0].strip("'")
            raise BadInput(f"no verb {asked}", asked=asked, known=VERBS)
        raise BadInput(message, where="command line", remedy=f"See: {self.prog} --help")


def run_verb(arguments: list[str]) -> int:
    """Call the verb that the arguments name. Errors: BadInput with the nearest option."""
    asked, rest = parser().parse_known_args(arguments)
    if rest:
        name = next(name for name, (function, _) in VERBS.items() if function is asked.verb)
        known = [each for names, _ in VERBS[name][1] for each in names if each.startswith("--")] + ["--json"]
        raise BadInput(f"{name} does not take {rest[0]}", where="command line", asked=rest[0], known=known)
    verb: Callable[[argparse.Namespace], int] = asked.verb
    return verb(asked)


def parser() -> Parser:
    """Every verb with its options."""
    top = Parser(prog="forgeline", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"forgeline {__version__}")
    verbs = top.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
    for name, (function, options) in VERBS.items():
        says = (function.__doc__ or "").partition("\n")[0]
        verb = verbs.add_parser(name, help=says, description=says)
        for option in [*options, JSON]:
            verb.add_argument(*option[0], **option[1])
        verb.set_defaults(verb=function)
    return top


Option = tuple[tuple[str, ...], dict[str, Any]]


def option(*names: str, **details: Any) -> Option:
    """One argument of a verb."""
    return names, details


# ---------------------------------------------------------------- verbs


def verb_run(asked: argparse.Namespace) -> int:
    """Run the line: a spec, or data with --target; ends in a release."""
    run = go(asked, until=asked.until)
    if asked.predict and run.release is not None:
        from forgeline.serving.batch import predict

        with reading():
            result = predict(run.release.folder, run.base / run.ask.split.file, Path(asked.predict), [])
        say(f"{result['rows']} predictions in {asked.predict}")
    return ended(asked, run)


def verb_init(asked: argparse.Namespace) -> int:
    """Assess the data, then write a commented forgeline.toml that says why."""
    from forgeline.init import write

    path = Path("forgeline.toml")
    if path.exists() and not asked.force:
        raise BadInput("forgeline.toml is there already", remedy="Move it away, or give --force.")
    run = go(asked, until="assess", blocked=True)
    write(path, run)
    say(f"Wrote {path}. Next: forgeline run")
    return ended(asked, run)


def verb_assess(asked: argparse.Namespace) -> int:
    """Say what the data is worth: findings, numbers, next steps."""
    import msgspec

    if asked.export:
        check_export(Path(asked.export))
    run = go(asked, until="assess", blocked=True)
    if asked.export:
        count = export(run, Path(asked.export))
        say(f"{count:,} lines in {asked.export}: decide in the column `decision`, then give it to --review")
    if asked.json:
        emit(msgspec.to_builtins(run.records[1]))
    else:
        from forgeline.board.text import record_lines

        print("\n".join(record_lines(run.records[1])))
        say(f"Report: {run.report}")
    advice = remedy(run, asked) if run.verdict == "blocked" else next_fix(run, asked)
    if advice:
        say(advice)
    return 3 if run.verdict == "blocked" else 0


def check_export(out: Path) -> None:
    """Raise BadInput where the review could not be written, or would overwrite one that somebody edited."""
    if out.exists():
        raise BadInput(f"{out} is there already", where="command line", remedy="Move it away, or name another file.")
    if out.suffix.lower() != ".csv" or not out.absolute().parent.is_dir():
        remedy = "Name a .csv file in a folder that is there."
        raise BadInput(f"--export cannot write {out}", where="command line", remedy=remedy)


def export(run: Run, out: Path) -> int:
    """Write the remediation queue of a run; how many lines."""
    from forgeline import review
    from forgeline.engine.store import Artefacts

    files = Artefacts(run.folder / "artefacts")
    record: Any = run.records[1]
    return review.export(record, lambda ref: files.get(ref.digest), out)


def verb_resume(asked: argparse.Namespace) -> int:
    """Go on with an interrupted run."""
    from forgeline import session
    from forgeline.engine.clock import process_start

    place = store()
    run = session.resume(place.find(asked.run), store=place, started=process_start(), quiet=asked.json)
    return ended(asked, run)


def verb_verify(asked: argparse.Namespace) -> int:
    """Make a run again from its work log and compare every digest."""
    from forgeline import session

    place = store()
    result = session.verify(place.find(asked.run), store=place, quiet=asked.json)
    lines = [f"{stage:<10} {'equal' if equal else 'DIFFERS'}" for stage, equal in result["stages"].items()]
    lines.append(f"{'release':<10} digest {result['release']['made_again']}")
    emit(result) if asked.json else print("\n".join(lines))
    return 0 if result["equal"] else 1


def verb_runs(asked: argparse.Namespace) -> int:
    """List the runs of this store, oldest first."""
    from forgeline import session
    from forgeline.board.text import columns

    found = [session.Run(store().runs / name) for name in store().run_ids()]
    rows = [
        {"run": run.name, "verdict": run.verdict, "stages": len(run.records), "digest": run.digest} for run in found
    ]
    if asked.json:
        emit({"runs": rows})
    else:
        print("\n".join(columns([list(row.values()) for row in rows], ["run", "verdict", "stages", "digest"])))
    return 0


def verb_show(asked: argparse.Namespace) -> int:
    """Show a run, or one of its stages."""
    import msgspec

    from forgeline import session
    from forgeline.board.text import record_lines, run_lines

    run = session.Run(store().find(asked.run))
    if not asked.stage:
        emit(run.plain()) if asked.json else print("\n".join(run_lines(run.plain())))
        return 0
    done = {record.stage: record for record in run.records}
    if asked.stage not in done:
        raise BadInput(f"{run.name} has no stage {asked.stage}", asked=asked.stage, known=done)
    record = done[asked.stage]
    emit(msgspec.to_builtins(record)) if asked.json else print("\n".join(record_lines(record)))
    return 0


def verb_compare(asked: argparse.Namespace) -> int:
    """Compare two runs: what was asked, and every number side by side."""
    from forgeline import session
    from forgeline.board.text import compare, compare_lines

    one, two = (session.Run(store().find(name)) for name in (asked.run, asked.other))
    result = compare(one, two)
    emit(result) if asked.json else print("\n".join(compare_lines(result)))
    return 0


def verb_rm(asked: argparse.Namespace) -> int:
    """Delete a run; test reads stay counted."""
    place = store()
    folder = place.find(asked.run)
    with place.lock(alone=True):
        place.remove(folder)
    emit({"removed": folder.name}) if asked.json else print(f"removed {folder.name}")
    return 0


def verb_gc(asked: argparse.Namespace) -> int:
    """Delete what no run needs: snapshots, half-written files, left-over folders."""
    place = store()
    with place.lock(alone=True):
        result = place.collect()
    if asked.json:
        emit(result)
    else:
        print(f"freed {result['bytes'] / 1e6:.1f} MB: {len(result['removed'])} files and folders")
    return 0


def verb_predict(asked: argparse.Namespace) -> int:
    """Predict a file with a release: one row per input row, same order."""
    from forgeline.serving.batch import predict

    with reading():
        result = predict(release(asked.release), Path(asked.data), Path(asked.output), asked.keep)
    for note in result["notes"]:
        say(f"note: {note}")
    emit(result) if asked.json else print(f"{result['rows']} predictions in {asked.output}")
    return 0


def verb_serve(asked: argparse.Namespace) -> int:
    """Serve a release: POST /predict, GET /health; on this machine only, unless told otherwise."""
    from forgeline.serving.server import serve

    token = Path(asked.token_file) if asked.token_file else None
    with reading():
        serve(release(asked.release), asked.host, asked.port, token, lambda url: told_url(asked, url))
    return 0


def verb_monitor(asked: argparse.Namespace) -> int:
    """Compare new data with what a release was trained on: keep, watch or retrain."""
    import msgspec

    from forgeline.monitoring.monitor import lines, monitor

    with reading():
        result = monitor(release(asked.release), Path(asked.data))
    emit(msgspec.to_builtins(result)) if asked.json else print("\n".join(lines(result)))
    return 0


def verb_parts(asked: argparse.Namespace) -> int:
    """List the parts that were found, without importing any."""
    from forgeline import catalog

    found = catalog.parts(asked.kind)
    if asked.json:
        emit(
            {"parts": [{name: getattr(p, name) for name in ("kind", "name", "says", "origin", "codes")} for p in found]}
        )
        return 0
    for kind in dict.fromkeys(part.kind for part in found):
        print(kind)
        for part in found:
            if part.kind == kind:
                origin = "" if part.origin == "forgeline" else f"  [{part.origin}]"
                print(f"  {part.name:<20} {part.says}{origin}")
                if part.codes:
                    print(f"  {'':<20} {', '.join(part.codes)}")
    return 0


def verb_doctor(asked: argparse.Namespace) -> int:
    """Say what this machine has, and what is missing."""
    from forgeline.doctor import examine

    result = examine(store())
    if asked.json:
        emit(result)
    else:
        for check in result["checks"]:
            print(f"{'ok     ' if check['ok'] else 'MISSING'} {check['name']:<14} {check['says']}")
    return 0 if result["ok"] else 2


# ---------------------------------------------------------------- what verbs share


def go(asked: argparse.Namespace, *, until: str, blocked: bool = False) -> Run:
    """Open and drive a run. With `blocked`, a gate that does not hold is a result, not an error."""
    from forgeline import session
    from forgeline.engine.clock import process_start
    from forgeline.runner import GateBlocks

    ask, base = wanted(asked)
    try:
        return session.start(
            ask,
            base=base,
            store=store(),
            until=until,
            started=process_start(),
            mirror=getattr(asked, "store", "") or "",
            predict=bool(getattr(asked, "predict", None)),
            quiet=asked.json,
        )
    except GateBlocks:
        if not blocked:
            raise
        return session.OPENED[-1]


def wanted(asked: argparse.Namespace) -> tuple[Spec, Path]:
    """The spec that the arguments ask for, and the folder its paths are relative to."""
    from forgeline import spec

    place = Path(asked.data or ".")
    if is_spec(place):
        plain, base = spec.load(place), (place if place.is_dir() else place.parent)
        where = str(place / "forgeline.toml" if place.is_dir() else place)
    elif asked.data is None:
        raise BadInput("no forgeline.toml here", where=str(place.resolve()), remedy=HOW_TO_BEGIN)
    else:
        plain, base, where = {"snapshot": {"source": str(place.resolve())}}, Path.cwd(), "command line"
    plain = spec.override(plain, getattr(asked, "set", None) or [])
    spec.known_keys(plain, spec.Spec, where)
    put_options(plain, asked)
    ask = spec.check(plain, where)
    if getattr(asked, "predict", None):
        check_predict(asked, ask)
    if not ask.snapshot.target and asked.verb is not verb_assess:
        raise BadInput("no target column was named", where=where, remedy="Give --target COLUMN.")
    return ask, base.resolve()


def is_spec(place: Path) -> bool:
    """Whether a path is a spec: a .toml file or a folder that holds forgeline.toml."""
    return place.suffix == ".toml" or (place / "forgeline.toml").exists()


def put_options(plain: dict[str, Any], asked: argparse.Namespace) -> None:
    """Put the command line's options into the spec's dictionary."""

    def put(section: str, key: str, value: Any) -> None:
        if value is not None:
            plain.setdefault(section, {})[key] = value

    given = vars(asked)
    put("snapshot", "target", given.get("target"))
    put("split", "file", str(Path(given["test"]).resolve()) if given.get("test") else None)
    for name in ("review", "probabilities"):
        put("assess", name, str(Path(given[name]).resolve()) if given.get(name) else None)
    if given.get("time"):
        plain.get("budget", {}).pop("work", None)
    if given.get("work") is not None:
        plain.get("budget", {}).pop("time", None)
    put("budget", "time", given.get("time"))
    put("budget", "work", given.get("work"))
    if given.get("seed") is not None:
        plain["seed"] = given["seed"]
    if given.get("apply"):
        before = plain.get("refine", {}).get("apply", "safe")
        named = [] if before == "none" else [before] if isinstance(before, str) else before
        put("refine", "apply", [*named, *given["apply"]])


def check_predict(asked: argparse.Namespace, ask: Spec) -> None:
    """Raise BadInput where `--predict OUT` could not be written once the line is through."""
    out = Path(asked.predict)
    if not ask.split.file:
        what, remedy = "needs a test file", "Give --test FILE as well."
    elif asked.until != "release":
        what, remedy = f"needs a release, which --until {asked.until} does not reach", "Leave one of them out."
    elif out.suffix.lower() not in (".csv", ".parquet") or not out.absolute().parent.is_dir():
        what, remedy = f"cannot write {out}", "Name a .csv or .parquet file in a folder that is there."
    else:
        return
    raise BadInput(f"--predict {what}", where="command line", remedy=remedy)


@contextmanager
def reading() -> Iterator[None]:
    """Answer in this program's words what the release's reader refuses."""
    from forgeline.serving.reader import BadRows

    try:
        yield
    except BadRows as error:
        raise BadInput(str(error).rstrip(".")) from None


def ended(asked: argparse.Namespace, run: Run) -> int:
    """Print what a run gave; 0, or 3 when a gate blocks."""
    from forgeline.board.text import run_lines

    emit(run.plain()) if asked.json else print("\n".join(run_lines(run.plain())))
    return 3 if run.verdict == "blocked" else 0


def release(name: str) -> Path:
    """A release folder: a path, a run's id, or `latest`. Errors: BadInput."""
    if (Path(name) / "model.onnx").exists() or (Path(name) / "signature.json").exists():
        return Path(name)
    if (Path(name) / "release").is_dir():
        return Path(name) / "release"
    folder: Path = store().find_released(name)
    return folder / "release"


def store() -> Any:
    """The store of the current folder."""
    from forgeline.engine.store import Store
    from forgeline.session import STORE

    return Store(STORE.resolve())


def told_url(asked: argparse.Namespace, url: str) -> None:
    """Say where the server answers."""
    emit({"url": url}) if asked.json else print(f"serving on {url}", flush=True)


def emit(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


DESCRIPTION = """An assembly line for AI models: raw data in, an evidenced release out.

  forgeline run adult.csv --target income      the whole line on one file
  forgeline init adult.csv --target income     assess, then write forgeline.toml
  forgeline run                                the line that ./forgeline.toml asks for"""
HOW_TO_BEGIN = "Give DATA and --target COLUMN, or begin with: forgeline init DATA --target COLUMN"
JSON = option("--json", action="store_true", help="one JSON document on stdout; text goes to stderr")
RUN = option("run", metavar="RUN", help="a folder, a run id, its beginning, or latest")
RELEASE = option("release", metavar="RELEASE", help="a release folder, a run id, or latest")
DATA = option("data", metavar="DATA", help="CSV, Parquet or JSON lines; a file, a folder or a glob")
TARGET = option("--target", metavar="COL", help="the column to predict")
TEST = option("--test", metavar="FILE", help="a test file of your own; nothing is set aside then")
REVIEW = option("--review", metavar="CSV", help="a table of --export with your decisions in it")
SET = option("--set", action="append", metavar="section.key=value", help="change one value of the spec")
STARTING = [
    option("--seed", type=int, metavar="N", help="seed of every random draw (default 0)"),
    option("--store", metavar="URL", help="copy each finished stage there, too"),
]

VERBS: dict[str, tuple[Callable[[argparse.Namespace], int], list[Option]]] = {
    "run": (
        verb_run,
        [
            option("data", nargs="?", metavar="SPEC|DATA", help="forgeline.toml, its folder, or data"),
            TARGET,
            TEST,
            option("--until", default="release", metavar="STAGE", help="stop after this stage"),
            option("--apply", action="append", metavar="CODE", help="apply the fix of this finding"),
            REVIEW,
            option("--work", type=float, metavar="N", help="budget in work units (default 100)"),
            option("--time", metavar="60s", help="budget in wall clock of the whole process"),
            option("--predict", metavar="OUT", help="write predictions for the test file"),
            SET,
            *STARTING,
        ],
    ),
    "init": (verb_init, [DATA, TARGET, TEST, SET, option("--force", action="store_true", help="overwrite")]),
    "assess": (
        verb_assess,
        [
            option("data", nargs="?", metavar="DATA", help="data, or a spec"),
            TARGET,
            TEST,
            option("--export", metavar="CSV", help="write the remediation queue as a table to be decided on"),
            REVIEW,
            option("--probabilities", metavar="FILE", help="out-of-sample outputs of a model of your own"),
            SET,
            *STARTING,
        ],
    ),
    "resume": (verb_resume, [RUN]),
    "verify": (verb_verify, [RUN]),
    "runs": (verb_runs, []),
    "show": (verb_show, [RUN, option("stage", nargs="?", metavar="STAGE", help="one stage's record")]),
    "compare": (verb_compare, [RUN, option("other", metavar="RUN", help="the other run")]),
    "rm": (verb_rm, [RUN]),
    "gc": (verb_gc, []),
    "predict": (
        verb_predict,
        [
            RELEASE,
            DATA,
            option("-o", "--output", required=True, metavar="OUT", help=".parquet or .csv"),
            option("--keep", action="append", default=[], metavar="COL", help="carry this column over"),
        ],
    ),
    "serve": (
        verb_serve,
        [
            RELEASE,
            option("--host", default="127.0.0.1", help="address to bind (default 127.0.0.1)"),
            option("--port", type=int, default=8000, help="port (default 8000; 0 picks one)"),
            option("--token-file", metavar="FILE", help="file with the token that callers must send"),
        ],
    ),
    "monitor": (verb_monitor, [RELEASE, DATA]),
    "parts": (verb_parts, [option("kind", nargs="?", metavar="KIND", help="checks, families, metrics")]),
    "doctor": (verb_doctor, []),
}
"""Verb → (function, its options besides --json)."""

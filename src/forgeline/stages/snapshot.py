"""Freezes the rows: reads them, gives each column its type, finds out the task, stores all of it by digest."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forgeline import records, spec
from forgeline.engine import album, identities, idx, machine, snapshots, tables, targets
from forgeline.engine.album import Taken
from forgeline.engine.columns import STORAGE, Fact, Kind
from forgeline.engine.rows import Held, RowSource, spilled
from forgeline.errors import BadInput
from forgeline.records import Finding, Fix, Rows

if TYPE_CHECKING:
    from forgeline.workspace import Workspace

STORED = "snapshot:"
"""A source that starts so names a snapshot by its digest."""
WIDE = 1_000
"""Columns from which a table is called wide."""
SINGLY = 20
"""Columns up to which each gets a finding of its own; more share one."""


@dataclass(frozen=True)
class Table:
    """Settled rows, what was noticed in each column, and where they came from."""

    rows: RowSource
    facts: list[Fact]
    sources: list[records.Source]
    taken: Taken | None = None
    """The pictures that cells name."""

    @property
    def outline(self) -> dict[str, Any]:
        """What the manifest says of the rows."""
        schema = [{"name": fact.name, "kind": fact.kind, "dtype": fact.dtype} for fact in self.facts]
        return {"schema": schema, "rows": self.rows.rows}


def snapshot(ask: spec.Snapshot, split: spec.Split, work: Workspace) -> records.Snapshot:
    """The rows as they are from now on, with every column's type, the task and where all of it was made."""
    table = read(ask, work)
    aim = None
    if ask.target:
        aim = targets.aim(table.rows.column(ask.target), ask.types.get(ask.target), ask.positive)
    check_weight(table.rows, ask.weight)
    test = read_test(split.file, table, ask, aim, work) if split.file else None
    work.say(f"  {table.rows.rows:,} rows, {len(table.facts):,} columns; {aim.task if aim else 'no target'}")
    return records.Snapshot(
        facts=records.SnapshotFacts(
            digest=store(table, ask, work),
            rows=table.rows.rows,
            columns=[column(fact, ask) for fact in table.facts],
            task=aim.task if aim else None,
            task_why=aim.why if aim else "no target is named",
            target=ask.target,
            classes=aim.classes if aim else [],
            positive=aim.positive if aim else None,
            weight=ask.weight,
            keep=ask.keep,
            missing=ask.missing,
            left_out=table.rows.column(ask.target).null_count() if ask.target else 0,
            sources=table.sources + (test.sources if test else []),
            test_digest=store(test, ask, work) if test else None,
            test_rows=test.rows.rows if test else 0,
            test_labelled=test is not None and ask.target in test.rows.names,
            licence=ask.licence,
        ),
        place=place(work),
        findings=[*quality(table, ask, work)],
    )


def source_digests(ask: spec.Snapshot, split: spec.Split, work: Workspace) -> dict[str, str]:
    """SHA-256 of every file the snapshot is made from, in order: part of what the record is a function of."""
    if ask.source.startswith(STORED):
        return {"source": ask.source.removeprefix(STORED)} | file_digests("test", split.file, work)
    return file_digests("source", named(ask.source), work) | file_digests("test", split.file, work)


def file_digests(role: str, source: str, work: Workspace) -> dict[str, str]:
    """SHA-256 of each file behind a source; none for an empty one."""
    files = tables.find(source, work.base) if source else []
    files += [labels for file in files if (labels := idx.labels_beside(file))]
    return {f"{role}.{number}.{file.name}": tables.file_digest(file) for number, file in enumerate(files)}


def named(source: str) -> str:
    """The source, which must be named. Errors: BadInput."""
    if not source:
        raise BadInput("no source is named", where="[snapshot]", remedy='Write source = "data.csv".')
    return source


# ---------------------------------------------------------------- the rows to learn from


def read(ask: spec.Snapshot, work: Workspace) -> Table:
    """The settled rows without the columns in `drop`; a target that is infinite counts as missing."""
    # A target that shall be classes keeps the type of its labels, so it is not read as text.
    kinds: dict[str, Kind] = {
        name: kind for name, kind in ask.types.items() if (name, kind) != (ask.target, "category")
    }
    pictured = [name for name, kind in kinds.items() if kind == "image"]
    if ask.source.startswith(STORED):
        raw, sources, known = stored(ask.source.removeprefix(STORED), work)
        kinds = known | kinds
        taken = stored_pictures(raw, ask.source.removeprefix(STORED), work)
    else:
        text = [name for name in kinds if name not in pictured]
        found = tables.read(tables.find(named(ask.source), work.base), ask.missing, text, spill=work.snapshots)
        raw, sources = found.rows, as_records(found)
        check_names(ask, raw.names)
        raw, taken = with_pictures(raw, pictured, ask, work)
    check_names(ask, raw.names)
    for name in pictured:
        if raw.schema[name] != pl.Binary:
            remedy = "From Python, give the bytes of the files."
            raise BadInput(f"{name} holds no pictures", where="[snapshot] types", remedy=remedy)
    if ask.target and raw.schema[ask.target] == pl.Binary:
        what = f"target {ask.target} holds bytes, which are no labels"
        raise BadInput(what, where=ask.source, remedy="Name another column.")
    if has_text_labels(raw, ask.target, sources):
        kinds = {ask.target: "category", **kinds}
    names = [name for name in raw.names if name not in set(ask.drop)]
    if isinstance(raw, Held):
        frame, facts = tables.settle(raw.frame.select(names), kinds, ask.missing)
        if ask.target:
            series, known_fact = finite_target(frame[ask.target], facts[names.index(ask.target)])
            frame = frame.with_columns(series)
            facts[names.index(ask.target)] = known_fact
        return Table(Held(frame), facts, sources, taken)
    facts = []
    return Table(spilled(settled(raw, names, kinds, ask, facts), work.snapshots), facts, sources, taken)


def with_pictures(
    raw: RowSource, asked: list[str], ask: spec.Snapshot, work: Workspace
) -> tuple[RowSource, Taken | None]:
    """The rows with the files of their pictures taken in. Target, weight and what is dropped stay as they are; where
    another type is asked for, or a column is only kept, paths stay paths.

    A table that is too large to be held has pictures only where it holds their bytes, or they are asked for.
    """
    aside = {*ask.drop, ask.target, ask.weight}
    if not isinstance(raw, Held):
        if not any(name in asked or (raw.schema[name] == pl.Binary and name not in aside) for name in raw.names):
            return raw, None
        raw = Held(raw.all())
    paths = {*ask.keep, *(name for name, kind in ask.types.items() if kind != "image")}
    aside |= {name for name in paths if not album.holds_bytes(raw.frame[name])}
    looked = [name for name in raw.names if name in asked or name not in aside]
    taken = album.take(raw.frame.select(looked), work.source_folder, asked=asked)
    return (Held(raw.frame.with_columns(taken.frame.select(taken.columns))), taken) if taken.columns else (raw, None)


def stored_pictures(raw: RowSource, digest: str, work: Workspace) -> Taken | None:
    """The pictures that a stored table names."""
    columns = [name for name in raw.names if raw.schema[name] == pl.Binary]
    names = {name for column in columns for name in album.names_in(raw.column(column))}
    return Taken(pl.DataFrame(), snapshots.pictures(work.snapshots, digest, names), columns, {}) if columns else None


def settled(
    raw: RowSource, names: list[str], kinds: dict[str, Kind], ask: spec.Snapshot, facts: list[Fact]
) -> Iterator[pl.Series]:
    """The settled columns one after the other; `facts` takes what was noticed in each."""
    for name in names:
        series, fact = tables.settle_one(raw.column(name), kinds.get(name), ask.missing)
        if name == ask.target:
            series, fact = finite_target(series, fact)
        facts.append(fact)
        yield series


def has_text_labels(raw: RowSource, target: str, sources: list[records.Source]) -> bool:
    """Whether the target is text in a source that has types: then `"1"` is a label, and no number."""
    typed = all(source.format != "delimited text" for source in sources)
    return bool(target) and typed and raw.schema[target] == pl.String


def finite_target(target: pl.Series, fact: Fact) -> tuple[pl.Series, Fact]:
    """An infinite target is as good as none."""
    if target.dtype != pl.Float64 or not target.is_infinite().any():
        return target, fact
    target = target.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first()).alias(target.name)).to_series()
    return target, replace(fact, missing=target.null_count(), distinct=target.drop_nulls().n_unique())


def stored(digest: str, work: Workspace) -> tuple[RowSource, list[records.Source], dict[str, Kind]]:
    """A stored table, itself as the source, and the kinds its text columns were given when it was settled."""
    table = snapshots.rows(work.snapshots, digest)
    manifest = snapshots.manifest(work.snapshots, digest)
    kinds: dict[str, Kind] = {
        each["name"]: "category" for each in manifest.get("schema", []) if each["dtype"] == "text"
    }
    source = records.Source(
        name=f"{STORED}{digest[:12]}",
        rows=table.rows,
        size_bytes=snapshots.size_bytes(work.snapshots, digest),
        digest=digest,
        format="snapshot",
    )
    return table, [source], kinds


def as_records(found: tables.Read) -> list[records.Source]:
    """The files that were read, for the record."""
    return [records.Source(**source._asdict()) for source in found.sources]


def check_names(ask: spec.Snapshot, columns: list[str]) -> None:
    """Raise BadInput unless every column the spec names is there, and the target is nothing else besides."""
    roles = {
        "target": [ask.target] if ask.target else [],
        "weight": [ask.weight] if ask.weight else [],
        "drop": ask.drop,
        "keep": ask.keep,
        "types": list(ask.types),
    }
    for role, names in roles.items():
        for name in names:
            if name not in columns:
                raise BadInput(f"{role} names no column: {name}", where=ask.source, asked=name, known=columns)
            if role in ("weight", "drop", "keep") and name == ask.target:
                raise BadInput(f"{name} is the target and also named by {role}", where="[snapshot]")
            if role in ("weight", "keep") and name in ask.drop:
                raise BadInput(f"{name} is named by {role} and by drop", where="[snapshot]")
    if not set(columns) - {ask.target, ask.weight, *ask.drop, *ask.keep}:
        raise BadInput("no column is left to learn from", where=ask.source, remedy="Keep at least one feature.")


def check_weight(table: RowSource, name: str) -> None:
    """Raise BadInput unless every weight is a positive, finite number."""
    if not name:
        return
    weight = table.column(name)
    if not weight.dtype.is_numeric():
        raise BadInput(f"weight {name} holds no numbers", where="[snapshot]", remedy="Name a numeric column.")
    bad = ~((weight > 0) & weight.cast(pl.Float64).is_finite()).fill_null(False)
    if bad.any():
        row = bad.arg_max() or 0
        raise BadInput(
            f"weight {name} is {weight[row]} in row {row} (counted from 0); rows like it: {int(bad.sum())}",
            where="[snapshot]",
            remedy="Weights must be finite and above 0.",
        )


def column(fact: Fact, ask: spec.Snapshot) -> records.Column:
    """A column for the record; the target's kind is what the spec says, whatever its labels are stored as."""
    asked = ask.types.get(fact.name)
    return records.Column(
        name=fact.name,
        kind=asked or fact.kind,
        dtype=fact.dtype,
        missing=fact.missing,
        distinct=fact.distinct,
        why="as asked" if asked else fact.why,
    )


def store(table: Table, ask: spec.Snapshot, work: Workspace) -> str:
    """Keep the rows with their manifest; their digest."""
    sources = [{"name": each.name, "digest": each.digest, "rows": each.rows} for each in table.sources]
    pictures = table.taken.album if table.taken else None
    manifest = table.outline | {"sources": sources, "licence": ask.licence}
    return snapshots.put(work.snapshots, table.rows, manifest, pictures)


# ---------------------------------------------------------------- the user's own test file


def read_test(file: str, train: Table, ask: spec.Snapshot, aim: targets.Aim | None, work: Workspace) -> Table:
    """The test rows in the training columns' storage; without a target column when no row is labelled.

    Of a partly labelled file the labelled rows are kept. Errors: BadInput for a missing column or a new label.
    """
    schema = train.rows.schema
    wording = [name for name, dtype in schema.items() if not dtype.is_numeric() and dtype != pl.Binary]
    files = tables.find(file, work.base)
    found = tables.read(files, ask.missing, wording)
    pictured = [name for name in found.frame.columns if schema.get(name) == pl.Binary]
    taken = album.take(found.frame.select(pictured), files[0].parent, asked=pictured) if pictured else None
    raw = found.frame.with_columns(taken.frame) if taken else found.frame
    lacks = [name for name in schema if name not in raw.columns and name != ask.target]
    if lacks:
        raise BadInput(
            f"the test file lacks {len(lacks)} columns of the training data: {', '.join(lacks[:10])}",
            where=file,
            asked=lacks[0],
            known=raw.columns,
        )
    raw = raw.select(name for name in schema if name in raw.columns)
    frame, facts = tables.settle(raw, kinds_of(schema), ask.missing)
    floats = [name for name in frame.columns if schema[name] == pl.Float64]
    frame = frame.with_columns(pl.col(floats).cast(pl.Float64))
    if ask.target in frame.columns:
        check_labels(frame[ask.target], next(fact for fact in facts if fact.name == ask.target), aim, file)
        labelled = frame.filter(pl.col(ask.target).is_not_null())
        frame = labelled if labelled.height else frame.drop(ask.target)
    return Table(Held(frame), [fact for fact in facts if fact.name in frame.columns], as_records(found), taken)


def kinds_of(schema: Mapping[str, pl.DataType]) -> dict[str, Kind]:
    """The kind that reads each column into the storage it has here."""
    return {name: "boolean" if dtype == pl.Boolean else STORAGE[dtype][0] for name, dtype in schema.items()}


def check_labels(target: pl.Series, fact: Fact, aim: targets.Aim | None, file: str) -> None:
    """Raise BadInput when the test file has labels that never occur in training, or that are no numbers."""
    known = aim.classes if aim else []
    new = [label for label in target.drop_nulls().unique().sort().to_list() if label not in known] if known else []
    if fact.unparsable:
        new = [fact.unparsable.example, *new]
    if new:
        shown = ", ".join(str(label) for label in new[:5])
        wrong = "never occurs in training" if known else "cannot be read as in training"
        raise BadInput(
            f"target {target.name} is {shown} here, which {wrong}",
            where=file,
            asked=str(new[0]),
            known=map(targets.text, known),
            remedy="Write the labels as in the training data.",
        )


# ---------------------------------------------------------------- findings


def quality(table: Table, ask: spec.Snapshot, work: Workspace) -> Iterator[Finding]:
    """What reading the rows showed; kept identifiers are not looked at. Odd cells that are still there have rows."""
    facts = [fact for fact in table.facts if fact.name not in ask.keep]
    yield from notices(
        "quality.mixed_type",
        {fact.name: (fact.mixed.cells, mixed_says(fact)) for fact in facts if fact.mixed},
        lambda columns: Fix(do="cast", columns=columns, to="number", says="read as numbers, the rest as missing"),
        ask,
        lambda name: keep_rows(no_number(table.rows.column(name)), work),
    )
    yield from notices(
        "quality.infinite",
        {fact.name: (fact.infinite, infinite_says(fact, ask)) for fact in facts if fact.infinite},
        lambda columns: Fix(do="missing", columns=columns, markers=["inf"], says="treat as missing"),
        ask,
        lambda name: keep_rows(table.rows.column(name).is_infinite(), work),
    )
    yield from notices(
        "quality.large_integer",
        {fact.name: (fact.large, large_says(fact)) for fact in facts if fact.large},
        None,
        ask,
    )
    yield from notices(
        "quality.unparsable",
        {fact.name: (fact.unparsable.cells, unparsable_says(fact)) for fact in facts if fact.unparsable},
        None,
        ask,
    )
    for name, row_N in (table.taken.absent if table.taken else {}).items():
        yield missing_file(name, row_N, work)
    if ask.target:
        yield from missing_target(table.rows.column(ask.target))
    if len(table.facts) > WIDE:
        yield wide(len(table.facts))


def missing_file(name: str, row_N: np.ndarray, work: Workspace) -> Finding:
    """Rows that name a picture which is not there."""
    first = ", ".join(str(row) for row in row_N[:5])
    return Finding(
        code="image.missing_file",
        severity="warn",
        says=f"{count(len(row_N), 'row')} of {name} without a picture, as the file is not there: {first}"
        f"{', …' if len(row_N) > 5 else ''} (counted from 0)",
        columns=[name],
        rows=keep_rows(pl.Series(np.isin(np.arange(row_N.max() + 1), row_N)), work),
        numbers={"cells": len(row_N)},
        fix=Fix(do="drop_rows", says="leave them out, or put the files back"),
    )


def no_number(text: pl.Series) -> pl.Series:
    """Which cells are there but are no numbers."""
    return text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()


def keep_rows(chosen: pl.Series, work: Workspace) -> Rows:
    """Row numbers (0-based) of the chosen cells, as a Parquet file of the run."""
    rows = chosen.arg_true().cast(pl.Int64)
    file = io.BytesIO()
    pl.DataFrame({"row": rows, "score": pl.repeat(1.0, len(rows), eager=True)}).write_parquet(file)
    return Rows(count=len(rows), ref=work.put(file.getvalue(), "rows.parquet"))


def notices(
    code: str,
    found: dict[str, tuple[int, str]],
    fix: Callable[[list[str]], Fix] | None,
    ask: spec.Snapshot,
    rows: Callable[[str], Rows] | None = None,
) -> Iterable[Finding]:
    """A warning a column, or one for all when they are many; the target is never mended."""
    if len(found) > SINGLY:
        columns = list(found)
        cells = sum(count for count, _ in found.values())
        says = f"{len(columns)} columns, such as: {found[columns[0]][1]}"
        mended = [name for name in columns if name != ask.target]
        yield Finding(
            code=code,
            severity="warn",
            says=says,
            columns=columns,
            numbers={"columns": len(columns), "cells": cells},
            fix=fix(mended) if fix else None,
        )
        return
    for name, (cells, says) in found.items():
        yield Finding(
            code=code,
            severity="warn",
            says=says,
            columns=[name],
            rows=rows(name) if rows else Rows(count=cells),
            numbers={"cells": cells},
            fix=fix([name]) if fix and name != ask.target else None,
        )


def mixed_says(fact: Fact) -> str:
    """Where a column of numbers holds something else."""
    assert fact.mixed
    cells, row, example = fact.mixed
    return f"{fact.name} would be numbers but for {count(cells, 'cell')}: the first is {first(fact.name, row, example)}"


def first(name: str, row: int, example: str) -> str:
    """An odd cell and where it is; of personal data no value is shown."""
    what = identities.personal(example, name)
    return f"{what + ',' if what else repr(example)} in row {row} (counted from 0)"


def infinite_says(fact: Fact, ask: spec.Snapshot) -> str:
    """How many values are infinite."""
    end = "; these rows count as rows without a target" if fact.name == ask.target else ""
    return f"{fact.name} has {count(fact.infinite, 'infinite value')}{end}"


def large_says(fact: Fact) -> str:
    """What is lost of large integers."""
    return (
        f"{fact.name} has {count(fact.large, 'integer')} beyond 2^53, where neighbours become equal; "
        "keep an identifier with keep, or read it as a category"
    )


def unparsable_says(fact: Fact) -> str:
    """What the kind asked for cost."""
    assert fact.unparsable
    cells, row, example = fact.unparsable
    return (
        f"{fact.name} is read as {fact.kind}, as asked; {count(cells, 'cell')} that cannot be became missing: "
        f"the first is {first(fact.name, row, example)}"
    )


def missing_target(target: pl.Series) -> Iterator[Finding]:
    """Rows that nothing can be learned from."""
    rows = target.is_null().arg_true()
    if len(rows):
        first = ", ".join(str(row) for row in rows.head(5))
        yield Finding(
            code="quality.missing_target",
            severity="warn",
            says=f"{count(len(rows), 'row')} without {target.name} left out: {first}"
            f"{', …' if len(rows) > 5 else ''} (counted from 0)",
            columns=[target.name],
            rows=Rows(count=len(rows)),
            numbers={"rows": len(rows), "share": len(rows) / len(target)},
        )


def wide(columns: int) -> Finding:
    """A table with very many columns."""
    return Finding(
        code="quality.wide",
        severity="note",
        says=f"{columns:,} columns: reading, assessing and encoding them takes its time",
        numbers={"columns": columns},
    )


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- where the run is made


def place(work: Workspace) -> records.Place:
    """Code version of the spec's folder, installed packages and hardware."""
    code = machine.code(work.base)
    diff = work.put(code.diff, "code.diff") if code.diff else None
    return records.Place(
        code=records.Code(commit=code.commit, dirty=code.dirty, diff=diff, why=code.why),
        packages=machine.packages(),
        hardware=machine.hardware(),
    )

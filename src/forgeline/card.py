"""The model card of a release: README.md with a model-index, from records alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from forgeline import records, spec
from forgeline.records import Number

TASKS = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
}


def write(
    about: dict[str, Any],
    assess: spec.Assess,
    snapshot: records.Snapshot,
    assessment: records.Assessment,
    refinement: records.Refinement,
    compression: records.Compression,
    evaluation: records.Evaluation,
) -> str:
    """The card as Markdown with YAML front matter (model-index, as the Hugging Face Hub reads it)."""
    parts = [
        front_matter(about, evaluation),
        f"# {about['name']}",
        f"Predicts `{about['target']}` ({about['task']}) from {len(refinement.facts.inputs)} columns. "
        f"Made by forgeline {about['forgeline']} in run `{about['run']}`; release digest `{about['digest']}`.",
        "## How good it is",
        "\n".join(number_lines(evaluation)),
        "## How to use it",
        USAGE,
        "## What it reads",
        "\n".join(f"- `{each.name}`: {each.kind}" for each in refinement.facts.inputs),
        "## What it was made from",
        f"- {assessment.facts.train_rows} training rows and {assessment.facts.test_rows} sealed test rows "
        f"({assessment.facts.split_how}); snapshot `{snapshot.facts.digest}`\n"
        + "\n".join(f"- {member.candidate}, weight {member.weight:.3f}" for member in compression.facts.kept),
        *encoder_lines(about),
        "## What was found in the data",
        "\n".join(finding_lines(assessment.findings)) or "Nothing.",
        "## What was accepted",
        "\n".join(accepted_lines(assess.accept)) or "Nothing: no blocking finding was set aside.",
    ]
    return "\n\n".join(parts) + "\n"


def encoder_lines(about: dict[str, Any]) -> list[str]:
    """Whose weights ship besides, and under which licence."""
    if "encoder" not in about:
        return []
    licence = about["encoder"]["licence"] or "unknown: its model card names none"
    return [f"- the pretrained encoder {about['encoder']['name']}, licence {licence}"]


USAGE = """```
python predict.py DATA.csv -o OUT.csv
```

`predict.py` needs numpy and onnxruntime, nothing else. `model.onnx` holds imputation and encoding; `signature.json`
says how a cell becomes an input; `SHA256SUMS` is checked before anything is loaded."""


def front_matter(about: dict[str, Any], evaluation: records.Evaluation) -> str:
    """YAML that machines read; JSON strings are YAML strings."""
    prefix = "test" if evaluation.facts.test_digest else "cv"
    lines = ["---", f"license: {json.dumps(about['licence'] or 'unknown')}", "library_name: onnxruntime"]
    lines += [
        "tags:",
        "- forgeline",
        "- tabular",
        "model-index:",
        f"- name: {json.dumps(about['name'])}",
        "  results:",
    ]
    lines += ["  - task:", f"      type: {TASKS[about['task']]}", "    dataset:"]
    lines += [f"      name: {json.dumps(about['name'])}", f"      type: {json.dumps('tabular')}"]
    lines += [f"      split: {prefix}", f"      revision: {about['snapshot']}", "    metrics:"]
    for name, number in plain_scores(evaluation, prefix):
        lines += [f"    - type: {name}", f"      value: {number.value}"]
    return "\n".join([*lines, "---"])


def plain_scores(evaluation: records.Evaluation, prefix: str) -> list[tuple[str, Number]]:
    """(metric, number) of the shipped model on one exam, where measured."""
    found = [
        (key.split(".", 1)[1], number) for key, number in evaluation.numbers.items() if key.startswith(f"{prefix}.")
    ]
    return [
        (name, number) for name, number in found if "." not in name and number.value is not None and name != "reads"
    ]


def number_lines(evaluation: records.Evaluation) -> list[str]:
    """A table of scores with intervals and baselines."""
    lines = ["| score | value | 95 % interval | linear | majority | rows |", "|---|---|---|---|---|---|"]
    for prefix in ("test", "cv"):
        for name, number in plain_scores(evaluation, prefix):
            beside = [evaluation.numbers.get(f"{prefix}.baseline.{other}.{name}") for other in ("linear", "majority")]
            shown = " | ".join(show(each.value if each else None) for each in beside)
            ends = f"{show(number.low)} to {show(number.high)}" if number.low is not None else ""
            lines.append(f"| {prefix}.{name} | {show(number.value)} | {ends} | {shown} | {number.n or ''} |")
    fairness = [(key, each) for key, each in evaluation.numbers.items() if key.startswith("fairness.")]
    lines += [
        f"| {key} | {show(each.value)} | {show(each.low)} to {show(each.high)} | | | {each.n or ''} |"
        for key, each in fairness
    ]
    return lines


def show(value: float | None) -> str:
    """Five digits; a dash for what was not measured."""
    return "–" if value is None else f"{value:.5g}"


def finding_lines(findings: Sequence[records.Finding], most: int = 30) -> list[str]:
    """The findings, worst first."""
    lines = [f"- **{each.severity}** `{each.code}`: {each.says}" for each in findings[:most]]
    return lines + ([f"- and {len(findings) - most} more"] if len(findings) > most else [])


def accepted_lines(accepted: Sequence[spec.Accept]) -> list[str]:
    """Who signed for what."""
    return [f"- `{each.code}` {', '.join(each.columns)}: {each.reason} (signed {each.by})" for each in accepted]

"""START HERE: the line, its stages in order.

Each stage is a function in `stages/`; it gets the sections of the spec and the records it needs, and gives one
record. The runner calls it once, skips what is done already, and applies the gates.
"""

from forgeline.records import Record
from forgeline.runner import Runner
from forgeline.spec import Spec


def line(ask: Spec, run: Runner) -> Record:
    """Raw data in, an evidenced release out. Errors: GateBlocks, BudgetSpent, BadInput, Until."""
    snapshot = run("snapshot", ask.snapshot, ask.split)
    assessment = run("assess", ask.assess, ask.split, ask.refine, snapshot)
    refinement = run("refine", ask.refine, snapshot, assessment)
    plan = run("plan", ask.plan, ask.train, ask.budget, snapshot, assessment, refinement)
    training = run("train", ask.budget, snapshot, refinement, plan)
    compression = run("compress", ask.compress, ask.evaluate, ask.budget, snapshot, refinement, plan, training)
    evaluation = run("evaluate", ask.evaluate, snapshot, assessment, refinement, plan, training, compression)
    last: Record = run(
        "release",
        *(ask.release, ask.assess, ask.snapshot),
        *(snapshot, assessment, refinement, plan, training, compression, evaluation),
    )
    return last

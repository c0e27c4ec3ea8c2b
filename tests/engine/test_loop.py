import os
import signal

import pytest
import torch

from forgeline.engine.feed import Resident
from forgeline.engine.notice import Notice
from forgeline.engine.order import Order
from forgeline.engine.recipe import Preempted, Recipe, StepFailed
from forgeline.engine.schedules import cosine
from forgeline.engine.seeds import Seed
from forgeline.engine.store import read_lines
from forgeline.parts.methods import clip, ema, label_smoothing, mixup

RECIPE = Recipe(steps=60, schedule=cosine, check_every=10)


def methods():
    return [label_smoothing.build(), mixup.build(), clip.build(), ema.build(decay=0.9)]


class Asks:
    """Asks the process to go when the losses of these numbers are asked for."""

    def __init__(self, notice, steps):
        self.notice, self.steps = notice, set(steps)

    def __call__(self, calls, batch):
        if calls in self.steps:
            self.notice.ask("test")


def leave(run, task, recipe=RECIPE, *, at=40):
    """Train until somebody asks the process to go."""
    notice = Notice()
    task.fails = Asks(notice, [at])
    with pytest.raises(Preempted):
        run.train(task, recipe, notice=notice)


def test_learns(small, bench):
    task = small()
    before = task.judge(task.module)
    done = bench().train(task, RECIPE)
    assert done.steps == 60
    assert done.held_loss < 0.8 * before
    assert task.judge(task.module) == done.held_loss
    assert not task.module.training


def test_losses_on_held_rows_are_in_the_metrics_where_they_were_looked_at(small, bench):
    task, run = small(), bench()
    done = run.train(task, RECIPE)
    held = {line["step"]: line["held_loss"] for line in read_lines(run.journal.path) if line["held_loss"] is not None}
    assert list(held) == [10, 20, 30, 40, 50, 60]
    assert held[done.best_step] == done.held_loss == min(held.values())


def test_held_rows_that_never_give_a_finite_loss_are_an_error(small, bench):
    with pytest.raises(StepFailed, match="none of 6 looks at held rows gave a finite loss"):
        bench().train(small(), RECIPE, judge=lambda module: float("nan"))


def test_is_what_a_plain_loop_computes(small, bench):
    task, plain = small(drop=0.0), small(drop=0.0)
    run = bench()
    run.train(task, RECIPE, judge=None)
    optimizer, order = plain.optimizer(), Order(plain.rows, Seed(3))
    for step in range(60):
        rows = torch.from_numpy(order.take(20 * step, 20))
        optimizer.param_groups[0]["lr"] = 0.01 * cosine(step, 60)
        optimizer.zero_grad()
        loss = plain.loss(plain.module, {name: each[rows] for name, each in plain.data.items()})
        loss.backward()
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(task.module.parameters(), plain.module.parameters()))
    assert list(read_lines(run.journal.path))[-1]["loss"] == float(loss.detach())


@pytest.mark.parametrize("norm", [False, True])
def test_goes_on_where_it_was_as_if_nothing_had_happened(small, bench, norm):
    undisturbed = bench("undisturbed")
    undisturbed.train(small(norm=norm), RECIPE, methods=methods())
    again = bench("again")
    for asked in (13, 1, 29):
        notice, task = Notice(), small(norm=norm)
        task.fails = Asks(notice, [asked])
        with pytest.raises(Preempted):
            again.train(task, RECIPE, methods=methods(), notice=notice)
    task = small(norm=norm)
    done = again.train(task, RECIPE, methods=methods())
    assert done.steps == 60
    assert again.digest() == undisturbed.digest()
    assert task.calls < 60  # some steps were made before
    assert [line["step"] for line in read_lines(again.journal.path)] == list(range(1, 61))


def test_goes_on_from_the_checkpoint_before_a_torn_one(small, bench):
    undisturbed, again = bench("undisturbed"), bench("again", interval=0.0)
    undisturbed.train(small(), RECIPE)
    leave(again, small())
    newest = again.folder / again.vault.names("step")[0] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    again.train(small(), RECIPE)
    assert len(again.vault.skipped) == 1
    assert again.digest() == undisturbed.digest()


def test_goes_on_from_before_metrics_that_were_lost(small, bench):
    undisturbed, again = bench("undisturbed"), bench("again")
    undisturbed.train(small(), RECIPE)
    leave(again, small())
    again.journal.path.unlink()
    again.train(small(), RECIPE)
    assert again.digest() == undisturbed.digest()


def test_goes_on_from_a_bucket_on_a_machine_that_has_nothing(small, bench):
    undisturbed, again = bench("undisturbed"), bench("again", url="memory://again")
    undisturbed.train(small(), RECIPE)
    leave(again, small())
    again.journal.path.unlink()
    task = small()
    again.train(task, RECIPE)
    assert task.calls < 60 - 35 + 20  # the steps and looks that were left
    assert again.digest() == undisturbed.digest()


def test_a_checkpoint_of_another_run_is_refused(small, bench):
    run = bench()
    run.train(small(), RECIPE)
    with pytest.raises(ValueError, match="another run: recipe differ"):
        run.train(small(), Recipe(steps=61, schedule=cosine, check_every=10))


def test_sigterm_saves_and_leaves(small, bench):
    run, task = bench(), small()
    task.fails = lambda calls, batch: calls == 30 and os.kill(os.getpid(), signal.SIGTERM)
    with Notice().signals() as notice, pytest.raises(Preempted, match="SIGTERM"):
        run.train(task, RECIPE, notice=notice)
    assert run.vault.newest().facts["step"] in (29, 30)


# ---------------------------------------------------------------- accumulation


@pytest.mark.parametrize("microbatch", [1, 3, 7, 10, 20, 50])
def test_parts_give_the_gradients_of_the_whole_batch(small, bench, microbatch):
    found = {}
    for size in (None, microbatch):
        task = small(drop=0.0)
        task.optimizer = lambda task=task: torch.optim.SGD(task.module.parameters(), lr=0.0)
        bench(f"parts-{size}").train(task, Recipe(steps=1, microbatch=size), methods=[Gradients(found, size)])
    assert all(torch.allclose(one, other, rtol=0, atol=1e-6) for one, other in zip(found[None], found[microbatch]))


class Gradients:
    """Keeps the gradients of the last step."""

    def __init__(self, found, key):
        self.found, self.key = found, key

    def match(self, event):
        return event.value == "gradients"

    def apply(self, event, moment):
        self.found[self.key] = [each.grad.clone() for each in moment.module.parameters()]

    def tensors(self):
        return {}


class Words:
    """A language model on sequences of unequal length: each token counts once, whatever batch it is in."""

    classes = 0
    rows = 40

    def __init__(self):
        torch.manual_seed(2)
        self.module = torch.nn.Sequential(torch.nn.Embedding(11, 8), torch.nn.Linear(8, 11))
        lengths = torch.randint(1, 12, (self.rows,))
        kept = torch.arange(12) < lengths[:, None]
        tokens = torch.randint(0, 11, (self.rows, 13))
        self.data = {"x": tokens[:, :-1], "y": torch.where(kept, tokens[:, 1:], -100)}

    def optimizer(self):
        return torch.optim.SGD(self.module.parameters(), lr=0.0)

    def loss(self, module, batch):
        return torch.nn.functional.cross_entropy(module(batch["x"]).flatten(0, 1), batch["y"].flatten())

    def weight(self, batch):
        return float((batch["y"] >= 0).sum())


@pytest.mark.parametrize("microbatch", [1, 4, 13])
def test_sequences_of_unequal_length_count_by_their_tokens(bench, microbatch):
    found = {}
    for size in (None, microbatch):
        recipe = Recipe(steps=1, microbatch=size)
        bench(f"words-{size}").train(Words(), recipe, judge=None, methods=[Gradients(found, size)])
    assert max(each.abs().max() for each in found[None]) > 1e-3
    assert all(torch.allclose(one, other, rtol=0, atol=1e-6) for one, other in zip(found[None], found[microbatch]))


# ---------------------------------------------------------------- memory, errors


class Short:
    """Memory that is too short for more than `rows` rows at once, at the calls that are named."""

    def __init__(self, rows, calls=None):
        self.rows, self.calls, self.raised = rows, calls, 0

    def __call__(self, call, batch):
        if len(batch["y"]) > self.rows and (self.calls is None or call in self.calls):
            self.raised += 1
            raise torch.OutOfMemoryError("out of memory")


@pytest.mark.parametrize("norm", [False, True])
def test_memory_that_was_short_for_a_moment_changes_nothing(small, bench, norm):
    undisturbed, again = bench("undisturbed"), bench("again")
    undisturbed.train(small(norm=norm), RECIPE, methods=methods())
    task = small(norm=norm)
    task.fails = Short(1, calls={7, 30})
    done = again.train(task, RECIPE, methods=methods())
    assert task.fails.raised == 2
    assert done.microbatch is None
    assert again.digest() == undisturbed.digest()


def test_memory_that_stays_short_halves_what_goes_through_at_once(small, bench):
    found = {}
    task, plain = small(drop=0.0), small(drop=0.0)
    task.fails = Short(6)
    done = bench("short").train(task, Recipe(steps=1), judge=None, methods=[Gradients(found, "short")])
    bench("plain").train(plain, Recipe(steps=1), judge=None, methods=[Gradients(found, "plain")])
    assert done.microbatch == 5
    assert all(torch.allclose(one, other, rtol=0, atol=1e-6) for one, other in zip(found["short"], found["plain"]))


def test_after_halving_it_goes_on_in_halves_after_a_restart_too(small, bench):
    undisturbed, again = bench("undisturbed"), bench("again")
    task = small()
    task.fails = Short(10)
    undisturbed.train(task, RECIPE)
    notice, task = Notice(), small()
    short, asks = Short(10), Asks(notice, [50])
    task.fails = lambda call, batch: (asks(call, batch), short(call, batch))
    with pytest.raises(Preempted):
        again.train(task, RECIPE, notice=notice)
    task = small()
    task.fails = Short(10)
    again.train(task, RECIPE)
    assert task.fails.raised == 0
    assert again.digest() == undisturbed.digest()


def test_one_row_that_does_not_fit_is_an_error(small, bench):
    task = small()
    task.fails = Short(0)
    with pytest.raises(StepFailed, match=r"step 0, rows .*OutOfMemoryError"):
        bench().train(task, RECIPE)


def test_an_error_names_its_step_and_rows(small, bench):
    def fails(call, batch):
        if call == 4:
            raise IndexError("target 7 is out of bounds")

    task, run = small(), bench()
    task.fails = fails
    rows = ", ".join(str(row) for row in Order(task.rows, Seed(3)).take(60, 20))
    with pytest.raises(StepFailed, match=f"step 3, rows {rows}: IndexError: target 7 is out of bounds"):
        run.train(task, RECIPE)


def test_a_loss_that_is_not_finite_is_an_error_and_is_never_saved(small, bench):
    task, run = small(), bench(interval=0.0)
    task.data["x"][17] = float("nan")
    with pytest.raises(StepFailed, match=r"rows .*the loss is not finite"):
        run.train(task, RECIPE)
    saved = run.vault.newest()
    assert saved is None or all(
        each.isfinite().all() for name, each in saved.tensors.items() if name.startswith("module")
    )


def test_a_batch_that_cannot_be_read_names_its_rows(small, bench):
    class Torn(Resident):
        def take(self, step):
            if step == 2:
                raise OSError("the file is torn")
            return super().take(step)

    task = small()
    with pytest.raises(StepFailed, match=r"step 2, rows .*OSError: the file is torn"):
        bench().train(task, RECIPE, feed=Torn(task.data, Order(task.rows, Seed(3)), 20))


# ---------------------------------------------------------------- looks


def test_ends_when_nothing_better_is_found(small, bench):
    losses = iter([3.0, 2.0, 2.5, 2.5, 1.0, 0.5])
    task = small()
    done = bench().train(task, Recipe(steps=60, check_every=10, patience=2), judge=lambda module: next(losses))
    assert (done.steps, done.best_step, done.held_loss) == (40, 20, 2.0)


def test_the_best_weights_ship(small, bench):
    kept = {}

    def judge(module):
        kept[len(kept)] = [each.clone() for each in module.parameters()]
        return [3.0, 1.0, 2.0][len(kept) - 1]

    task = small()
    done = bench().train(task, Recipe(steps=30, check_every=10), judge=judge)
    assert done.best_step == 20
    assert all(torch.equal(one, other) for one, other in zip(task.module.parameters(), kept[1]))


def test_the_best_weights_are_on_disk_while_it_goes_on(small, bench):
    run, seen = bench(), []

    def judge(module):
        if run.vault.writing is not None:
            run.vault.writing.result()
        seen.append([run.vault.read(name).facts["step"] for name in run.vault.names("best")])
        return -float(len(seen))

    run.train(small(), RECIPE, judge=judge)
    assert seen[1] == [10]
    assert seen[2][0] == 20


def test_ends_early_on_the_same_schedule(small, bench):
    run, other = bench("run"), bench("other")
    run.train(small(), RECIPE)
    other.train(small(), Recipe(steps=60, ends=25, schedule=cosine))
    whole, part = (list(read_lines(each.journal.path)) for each in (run, other))
    assert [line["loss"] for line in part] == [line["loss"] for line in whole[:25]]
    assert [line["rate"] for line in part] == [line["rate"] for line in whole[:25]]


def test_observers_are_told_numbers_only(small, bench):
    class Keeps:
        def __init__(self):
            self.progress = []

        def told(self, progress):
            self.progress.append(progress)

    keeps = Keeps()
    bench().train(small(), RECIPE, observers=[keeps])
    last = keeps.progress[-1]
    assert (last.step, last.steps) == (60, 60)
    assert last.best_step is not None
    assert 0 < last.busy <= 1
    assert all(isinstance(each, int | float | None) for each in vars(last).values())


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_other_precisions_learn_and_resume(small, bench, name):
    recipe = Recipe(steps=60, precision=name, check_every=10)
    undisturbed, again = bench("undisturbed"), bench("again")
    done = undisturbed.train(small(), recipe)
    leave(again, small(), recipe, at=31)
    again.train(small(), recipe)
    assert again.digest() == undisturbed.digest()
    assert done.held_loss < 0.6

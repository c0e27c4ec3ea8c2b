"""The training loop of every model that learns in steps. Start at `train` and read down.

A step is a function of the weights, the seed and its number: its rows, its random numbers, its rate. So a run that
was killed goes on from its newest checkpoint and ends in the same bits as one that was not. Precision, accumulation,
checkpoints, metrics and methods are put around the model from outside; it knows of none.

Shapes: B rows of a batch.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import torch

from forgeline.engine import randomness, resuming
from forgeline.engine.checkpoint import Saved, Vault, copied
from forgeline.engine.feed import Batch, Feed, moved
from forgeline.engine.journal import Journal
from forgeline.engine.notice import Notice
from forgeline.engine.precision import Precision
from forgeline.engine.recipe import Outcome, Preempted, Recipe, StepFailed
from forgeline.engine.seeds import Seed
from forgeline.engine.stepped import Event, Method, Moment, Observer, Stepped
from forgeline.engine.telling import Teller


def train(
    task: Stepped,
    feed: Feed,
    recipe: Recipe,
    seed: Seed,
    vault: Vault,
    journal: Journal,
    *,
    judge: Callable[[torch.nn.Module], float] | None = None,
    methods: Sequence[Method] = (),
    observers: Sequence[Observer] = (),
    notice: Notice | None = None,
) -> Outcome:
    """Train until the steps are made, or nothing better is found for `patience` looks.

    `judge` gives the loss on held rows; the weights it likes best ship, the last ones where nothing judges. Training
    goes on from the newest checkpoint in the vault. Errors: Preempted, with everything saved, where somebody asked
    this process to go; StepFailed, with its rows, where a step raised or its loss is not finite.
    """
    teller = Teller(journal, observers)
    run = Run(task, feed, recipe, seed, vault, teller, judge, methods, notice or Notice())
    run.resume()
    while run.step < recipe.last and not run.stale:
        loss = run.advance(run.take())
        if loss is None:
            run.leave()
        teller.note(run.step, loss, run.rate, run.check() if run.looks_now else math.nan)
        if teller.due:
            run.tell()
        if vault.due:
            run.save()
    return run.finish()


class Run:
    """What changes while a model is trained, and how."""

    def __init__(
        self,
        task: Stepped,
        feed: Feed,
        recipe: Recipe,
        seed: Seed,
        vault: Vault,
        teller: Teller,
        judge: Callable[[torch.nn.Module], float] | None,
        methods: Sequence[Method],
        notice: Notice,
    ) -> None:
        self.task, self.feed, self.recipe, self.seed, self.vault = task, feed, recipe, seed, vault
        self.teller, self.judge, self.methods, self.notice = teller, judge, methods, notice
        self.module = task.module
        self.device = next(self.module.parameters()).device
        self.model = torch.compile(self.module) if recipe.compiled else self.module
        self.optimizer = task.optimizer()
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.moving = [each for group in self.optimizer.param_groups for each in group["params"]]
        self.precision = Precision(recipe.precision, self.device)
        self.sower = randomness.Sower(seed, self.device)
        self.microbatch, self.retried = recipe.microbatch, False
        self.buffers = list(self.module.buffers())
        self.buffers_before = [each.clone() for each in self.buffers]
        self.moment = Moment(self.module, task.classes)
        self.on = {event: [each for each in methods if each.match(event)] for event in Event}
        self.step = self.looks = self.best_step = 0
        self.held_loss, self.best_name = math.inf, ""
        self.best: dict[str, torch.Tensor] = {}
        self.module.train()
        self.applied(Event.BEGIN)

    # ------------------------------------------------ a step

    def take(self) -> Batch:
        """The batch of the step to be made. Errors: StepFailed."""
        try:
            return self.feed.take(self.step)
        except Exception as error:
            raise self.failure(self.step, f"{type(error).__name__}: {error}") from error

    def advance(self, batch: Batch) -> torch.Tensor | None:
        """Make a step; its mean loss, or None where this process was asked to go and nothing was done.

        A batch that is too large for the memory is tried again: once as it is, with what was cached given back, then
        in halves. Errors: StepFailed.
        """
        if self.buffers:
            torch._foreach_copy_(self.buffers_before, self.buffers)
        while True:
            try:
                loss = self.update(batch)
            except Exception as error:
                if not (memory_is_short(error) and self.shrink(batch)):
                    raise self.failure(self.step, f"{type(error).__name__}: {error}") from error
            else:
                break
            self.undo()  # out of the handler, which holds on to what the step had made
        if loss is None:
            self.undo()
            return None
        self.step, self.retried = self.step + 1, False
        return loss

    def update(self, batch: Batch) -> torch.Tensor | None:
        """Gradients of all parts of a batch, then one move of the weights."""
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * self.recipe.schedule(self.step, self.recipe.steps)
        for each in self.moving:
            each.grad = None  # as `zero_grad` does, which takes as long as a small layer
        loss = None
        for place, (part, share) in enumerate(self.parts(batch)):
            if self.notice.asked:
                return None
            self.sower.sow(self.step, place)
            part = self.applied(Event.BATCH, moved(part, self.device))
            with self.precision.forward:
                part_loss = self.task.loss(self.model, part)
            part_loss = part_loss if share == 1 else part_loss * share
            self.precision.backward(part_loss)
            loss = part_loss.detach() if loss is None else loss + part_loss.detach()
        self.precision.unscale(self.optimizer)
        self.applied(Event.GRADIENTS)
        self.precision.step(self.optimizer)
        self.applied(Event.UPDATED)
        return loss

    def parts(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """As many rows at a time as fit, and each part's share in the mean loss of the batch."""
        rows = rows_of(batch)
        size = self.microbatch or rows
        if size >= rows:
            yield batch, 1.0
            return
        whole = self.task.weight(batch)
        for at in range(0, rows, size):
            part = {name: each[at : at + size] for name, each in batch.items()}
            yield part, self.task.weight(part) / whole

    def applied(self, event: Event, batch: Batch | None = None) -> Batch:
        """The batch, after the methods that take part at an event."""
        if not self.on[event]:
            return batch or {}
        self.moment.step, self.moment.batch = self.step, batch
        for method in self.on[event]:
            method.apply(event, self.moment)
        return self.moment.batch or {}

    def shrink(self, batch: Batch) -> bool:
        """At first memory is only given back, then half the rows go through at once. False: there is one row."""
        rows = min(self.microbatch or rows_of(batch), rows_of(batch))
        if self.retried and rows > 1:
            self.microbatch = math.ceil(rows / 2)
        again, self.retried = not self.retried or rows > 1, True
        return again

    def undo(self) -> None:
        """As before the step: no weight has moved, but a forward pass may have moved the module's buffers."""
        self.optimizer.zero_grad()
        gc.collect()
        if self.device.type != "cpu":
            torch.accelerator.empty_cache()
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.buffers_before)

    def failure(self, step: int, what: str) -> StepFailed:
        """The error of a step."""
        rows = self.feed.rows(step)
        named = ", ".join(str(each) for each in rows[:20]) + (f" and {len(rows) - 20} more" if len(rows) > 20 else "")
        return StepFailed(f"step {step}, rows {named}: {what}")

    # ------------------------------------------------ looks

    @property
    def stale(self) -> bool:
        """Whether nothing better was found for too long."""
        return self.recipe.patience is not None and self.looks >= self.recipe.patience

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def looks_now(self) -> bool:
        """Whether the held rows are looked at after this step."""
        return self.step % self.recipe.check_every == 0 or self.step == self.recipe.last

    def check(self) -> float:
        """Judge the weights that would ship, and keep them where they are the best so far; their loss on held rows."""
        self.applied(Event.CHECK)
        self.module.eval()
        with torch.no_grad():
            loss = self.judge(self.module) if self.judge else -float(self.step)
        self.looks += 1
        if loss < self.held_loss:
            self.keep(loss)
        self.module.train()
        self.applied(Event.CHECKED)
        return loss if self.judge else math.nan

    def keep(self, loss: float) -> None:
        """These are the best weights so far; on disk as soon as the writing thread comes to it."""
        self.held_loss, self.best_step, self.looks = loss, self.step, 0
        self.vault.settle()
        self.best = copied(self.module.state_dict(), self.best)
        self.best_name = self.vault.save_best(self.best, {"step": self.step, "held_loss": loss})

    def tell(self) -> None:
        """Observers hear of the last second, the journal is written. Errors: StepFailed, a loss that is not finite."""
        self.vault.later(self.teller.writer())
        wrong = self.teller.tell(self, self.feed.waited + self.vault.stalled)
        if wrong is not None and self.precision.scaler is None:
            raise self.failure(wrong, "the loss is not finite. Try a lower rate, or float32.")

    # ------------------------------------------------ checkpoints

    def save(self) -> None:
        """Begin a checkpoint of the steps that were made; of none whose loss is not finite."""
        self.tell()
        self.vault.save(resuming.tensors(self), resuming.facts(self), self.teller.writer())

    def leave(self) -> NoReturn:
        """Save what there is, and go. Errors: Preempted, always."""
        self.vault.save_now(resuming.tensors(self), resuming.facts(self), self.teller.writer())
        raise Preempted(f"{self.notice.asked}: left after step {self.step}")

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, with the metrics and the best weights it counts on."""
        saved = self.vault.newest(self.usable)
        if saved is None:
            randomness.begin(self.seed)
            self.teller.journal.rewind(None)
        else:
            resuming.restore(self, saved)

    def usable(self, saved: Saved) -> bool:
        """Whether what a checkpoint counts on is whole, too; if so it is brought back."""
        journal, mark = self.teller.journal, saved.facts["journal"]
        best = self.vault.read(saved.facts["best"]) if saved.facts["best"] else None
        if saved.facts["best"] and best is None:
            return False
        if not journal.rewind(mark):
            self.vault.fetch(saved.name, journal.path)
            if not journal.rewind(mark):
                return False
        self.best = {} if best is None else best.tensors
        return True

    def finish(self) -> Outcome:
        """The best weights in the module, metrics and checkpoint on disk."""
        self.tell()
        if not self.best:
            raise StepFailed(f"step {self.step}: none of {self.looks} looks at held rows gave a finite loss")
        self.save()
        self.vault.settle()
        self.module.load_state_dict(self.best)
        self.module.eval()
        loss = None if self.judge is None else self.held_loss
        return Outcome(self.step, self.best_step, loss, self.microbatch, self.teller.busy)


def rows_of(batch: Batch) -> int:
    """Rows of a batch."""
    return len(next(iter(batch.values())))


def memory_is_short(error: Exception) -> bool:
    """Whether an allocation failed, on a device or on the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from forgeline import deep, kinds, testing
from forgeline.engine import pixels, randomness
from forgeline.engine.seeds import Seed
from forgeline.parts.families import convnet, tabm

torch = pytest.importorskip("torch")
from forgeline.engine.sketch import activation_bytes, head, sketch  # noqa: E402

CPU = torch.device("cpu")


@dataclass
class Plain:
    """A module on numbers, and the mean of what it gives as its loss."""

    module: Any
    classes: int = 0

    def optimizer(self):
        return torch.optim.SGD(self.module.parameters(), lr=0.1)

    def loss(self, module, batch):
        return module(batch["x"]).mean()

    def weight(self, batch):
        return float(len(batch["x"]))


def mlp(activation=torch.nn.ReLU):
    torch.manual_seed(0)
    return Plain(torch.nn.Sequential(torch.nn.Linear(6, 16), activation(), torch.nn.Linear(16, 2)))


def batch_of(rows, columns=6):
    return {"x": torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))}


def test_two_layers_agree_with_a_count_by_hand():
    """ReLU's result is all that is kept: for its own gradient, and once more as what the second layer is given."""
    found = sketch(mlp(), batch_of(40), steps=0)
    assert found.parameters == 6 * 16 + 16 + 16 * 2 + 2
    assert found.flops_per_row == 2 * (6 * 16 + 16 * 2)
    assert found.activation_bytes == 4 * 40 * 16
    assert found.row_activation_bytes == 4 * 16
    assert found.activation_bytes_of(1000) == 4 * 1000 * 16
    assert (found.step_seconds, found.forward_seconds) == (None, None)


def test_gelu_keeps_what_it_is_given_and_what_it_gives():
    assert sketch(mlp(torch.nn.GELU), batch_of(40), steps=0).activation_bytes == 2 * 4 * 40 * 16


def test_a_copy_in_another_type_counts_and_the_batch_does_not():
    class Bytes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.layer(x.float())

    built = Plain(Bytes())
    assert activation_bytes(built, {"x": torch.ones(8, 5)}) == 0
    assert activation_bytes(built, {"x": torch.ones(8, 5, dtype=torch.uint8)}) == 4 * 8 * 5


def test_one_row_is_enough():
    found = sketch(mlp(), batch_of(1), steps=1)
    assert found.activation_bytes_of(10) == 10 * 4 * 16
    assert found.step_seconds > 0


# ---------------------------------------------------------------- sparsity


class Known(torch.nn.Module):
    """An activation function on the batch as it is."""

    def __init__(self, call):
        super().__init__()
        self.layer, self.call = torch.nn.Linear(1, 1), call

    def forward(self, x):
        return self.call(x) + self.layer(x[:, :1])


GIVEN = torch.tensor([[-3.0, -1.0, 0.0, 2.0], [-5.0, 4.0, 7.0, 8.0]])


@pytest.mark.parametrize(
    ("call", "share"),
    [
        (torch.relu, 4 / 8),
        (lambda x: torch.relu_(x.clone()), 4 / 8),
        (torch.nn.functional.relu6, 4 / 8),
        (torch.nn.functional.hardswish, 3 / 8),  # -1 gives a little
        (torch.nn.functional.hardtanh, None),  # gives zero by accident only
        (torch.nn.functional.gelu, 3 / 8),  # of the root mean square, 4.1, a hundredth: -3, 0 and -5
        (torch.tanh, None),
    ],
    ids=["relu", "in place", "relu6", "hardswish", "hardtanh", "gelu", "tanh"],
)
def test_zeros_that_are_known(call, share):
    assert sketch(Plain(Known(call)), {"x": GIVEN}, steps=0).sparsity == share


# ---------------------------------------------------------------- nothing is changed


def normed():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
    return Plain(torch.nn.Sequential(*layers, torch.nn.Linear(8, 1)))


def test_the_module_and_the_generators_are_as_they_were():
    built = normed()
    built.module[1].eval()
    built.loss(built.module, batch_of(4)).backward()
    state = {name: each.clone() for name, each in built.module.state_dict().items()}
    gradients = [each.grad.clone() for each in built.module.parameters()]
    modes = [each.training for each in built.module.modules()]
    generators, threads = randomness.states(CPU), torch.get_num_threads()
    clip = deep.method_of({"use": "clip", "most": 1.0})
    found = sketch(built, batch_of(20), steps=2, methods=[clip])
    assert found.step_seconds > 0 < found.forward_seconds
    assert all(torch.equal(value, state[name]) for name, value in built.module.state_dict().items())
    assert all(torch.equal(each.grad, gradient) for each, gradient in zip(built.module.parameters(), gradients))
    assert [each.training for each in built.module.modules()] == modes
    for name, each in randomness.states(CPU).items():
        assert np.array_equal(each, generators[name], equal_nan=True), name
    assert torch.get_num_threads() == threads


def test_a_step_that_fails_leaves_it_as_it_was_too():
    built = normed()
    state = {name: each.clone() for name, each in built.module.state_dict().items()}

    class Fails:
        def match(self, event):
            return event.value == "updated"

        def apply(self, event, moment):
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        sketch(built, batch_of(20), steps=1, methods=[Fails()])
    assert all(torch.equal(value, state[name]) for name, value in built.module.state_dict().items())


def test_training_after_a_sketch_ends_in_the_same_model(tmp_path):
    rows = testing.family_rows("binary", 2)

    def answers(looked):
        built = tabm.build(rows.shape, tabm.space(rows.shape).points[0] | {"epochs": 1, "width": 16}, Seed(0))
        if looked:
            begin = built.begin

            def begun(given):
                batch = begin(given)
                sketch(built, head(batch, 64), steps=1)
                return batch

            built.begin = begun
        return deep.fitted(built, rows, Seed(0), tmp_path / str(looked)).predict(rows.x_NF)

    assert np.array_equal(answers(False), answers(True))


# ---------------------------------------------------------------- families

SIZE = (16, 16, 3)


def pictured(width=8, **setting):
    """A convolutional network that has begun, and rows as tensors."""
    shape = kinds.Shape(4_000, 0, "multiclass", 5, None, None, (SIZE,))
    shape = replace(shape, features=math.prod(pixels.fit("", SIZE).blocks) * SIZE[2])
    draw = np.random.default_rng(0)
    x_NF = draw.normal(size=(200, shape.features)).astype(np.float32)
    pictures = draw.integers(0, 256, (200, *SIZE)).astype(np.uint8)
    rows = kinds.TrainRows(x_NF, draw.integers(0, 5, 200), None, shape, seen=(pictures,))
    built = convnet.build(shape, convnet.space(shape).points[0] | {"width": width} | setting, Seed(0))
    return built, built.begin(rows)


def tabular(**setting):
    rows = testing.family_rows("multiclass", 4)
    built = tabm.build(rows.shape, tabm.space(rows.shape).points[0] | {"width": 24} | setting, Seed(0))
    return built, built.begin(rows)


def test_a_convolutional_network_has_the_operations_of_its_price_and_what_that_leaves_out():
    """The price counts the convolutions of three by three; ways around of one by one and the head come to it."""
    built, batch = pictured()
    layers = convnet.layers_of(SIZE, built.setting)
    around = [
        2 * first.inside * second.outside * second.rows * second.columns
        for first, second in zip(layers[1::2], layers[2::2])
        if first.stride > 1 or first.inside != second.outside
    ]
    head_flops = 2 * layers[-1].outside * 5
    expected = convnet.cost(built.shape, built.setting).flops_per_row + sum(around) + head_flops
    assert sketch(built, head(batch, 20), steps=0).flops_per_row == expected


def test_tabm_has_the_operations_of_its_price():
    built, batch = tabular()
    expected = tabm.cost(built.shape, built.setting).flops_per_row
    assert sketch(built, head(batch, 50), steps=0).flops_per_row == pytest.approx(expected, rel=0.01)


FIVE = [
    lambda: pictured(8),
    lambda: pictured(12, depth=2, batch=32),
    tabular,
    lambda: tabular(members=3, layers=1, dropout=0.0),
    lambda: (normed(), batch_of(200)),
]


@pytest.mark.parametrize("made", FIVE, ids=["convnet", "deeper", "tabm", "smaller", "normed"])
@pytest.mark.parametrize("rows", [8, 160])
def test_activations_of_other_batches_follow_from_two(made, rows):
    built, batch = made()
    found = sketch(built, head(batch, 64), steps=0)
    assert found.activation_bytes == activation_bytes(built, head(batch, 64))
    assert found.activation_bytes_of(rows) == pytest.approx(activation_bytes(built, head(batch, rows)), rel=0.05)

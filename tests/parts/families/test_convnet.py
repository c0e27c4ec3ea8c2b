import math

import numpy as np
import pytest

from forgeline import kinds
from forgeline.engine import pixels
from forgeline.parts.families import convnet

pytest.importorskip("torch")

SIZE = (28, 28, 1)
SHAPE = kinds.Shape(40_000, 196, "multiclass", 10, None, None, (SIZE,))
SETTING = convnet.space(SHAPE).points[0]


def test_there_is_nothing_to_try_without_pictures():
    assert convnet.space(kinds.Shape(100, 5, "binary", 2)).points == ()


def test_operations_agree_with_a_count_by_hand():
    """Of three stages of one block each: 3 x 3 places times channels in and out, twice for product and sum."""
    found = convnet.cost(SHAPE, SETTING | {"width": 24}).flops_per_row
    stem = 14 * 14 * 9 * 1 * 24
    first = 14 * 14 * 9 * (24 * 24 + 24 * 24)
    second = 7 * 7 * 9 * (24 * 48 + 48 * 48)
    third = 4 * 4 * 9 * (48 * 96 + 96 * 96)
    assert found == 2 * (stem + first + second + third)


def test_the_module_has_as_many_operations_as_its_price_says():
    """Counted on the torch module itself, layer by layer as it runs."""
    import torch

    module = convnet.network([convnet.layers_of(SIZE, SETTING)], 0, 10).eval()
    counted = []

    def count(layer, given, made):
        if layer.kernel_size == (3, 3):
            counted.append(2 * made[0].numel() * layer.in_channels * 9)

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    module(torch.zeros(1, 0), torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    assert sum(counted) == convnet.cost(SHAPE, SETTING).flops_per_row


@pytest.mark.parametrize("work", [20.0, 60.0, 200.0, 1000.0])
def test_a_larger_budget_gives_a_wider_network_and_is_kept(work):
    setting = convnet.brief(SHAPE, SETTING, work)
    taken = convnet.cost(SHAPE, setting).work
    assert taken <= 1.02 * work
    assert taken >= 0.9 * work or setting["epochs"] == convnet.MOST_EPOCHS
    more = convnet.brief(SHAPE, SETTING, 3 * work)
    assert more["width"] >= setting["width"]


def test_very_little_is_half_an_epoch():
    setting = convnet.brief(SHAPE, SETTING, 0.1)
    assert (setting["width"], setting["epochs"]) == (min(convnet.WIDTHS), 0.5)


def test_columns_beside_are_those_before_the_blocks():
    blocks = math.prod(pixels.fit("", SIZE).blocks)
    assert convnet.beside_of(kinds.Shape(100, blocks + 3, "binary", 2, pictures=(SIZE,))) == 3
    assert convnet.beside_of(SHAPE) == 0


def test_light_of_a_blank_picture_has_a_spread():
    assert convnet.light_of(np.zeros((5, 8, 8, 1), np.uint8)) == (0.0, 1.0)

"""Nodes of an encoder beside transformers' own module; what it costs, by hand."""

import numpy as np
import pytest
import torch

from forgeline.engine import texts, transformer
from forgeline.engine.graph import Graph
from forgeline.engine.transformer import Architecture, Weights, batches, edge
from forgeline.models import open_session

SMALL = Architecture(layers=2, width=24, heads=3, inner=40, vocabulary=50, positions=64)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(5)
    made = transformer.module(SMALL)
    for each in made.parameters():
        torch.nn.init.normal_(each, std=0.3)
    return made.eval()


@pytest.fixture(scope="module")
def session(encoder):
    held = encoder.state_dict()
    weights = Weights(SMALL, {name: held[name].numpy() for name in transformer.names(SMALL)})
    graph = Graph()
    graph.output(transformer.draw(weights, graph, graph.input("tokens", "int64", "T")), "y", "float", SMALL.width)
    return open_session(graph.model())


def spelt(rows=9, most=16, seed=0):
    draw = np.random.default_rng(seed)
    tokens_NT = draw.integers(1, 50, (rows, most))
    for row, count in zip(tokens_NT, draw.integers(1, most + 1, rows)):
        row[count:] = 0
    return tokens_NT


def test_the_graph_says_what_the_module_says(encoder, session):
    tokens_NT = spelt()
    with torch.no_grad():
        ours = transformer.pooled(encoder, torch.from_numpy(tokens_NT)).numpy()
    assert np.abs(session.run(None, {"tokens": tokens_NT})[0] - ours).max() < 1e-5


def test_it_has_the_weights_that_are_named_and_as_many_as_are_counted(encoder):
    held = dict(encoder.named_parameters())
    assert {name: tuple(each.shape) for name, each in held.items()} == transformer.names(SMALL)
    assert sum(each.numel() for each in held.values()) == SMALL.parameters


def test_operations_by_hand():
    """Of 3 tokens in a layer of width 4 with 8 inner units: 4 products of 3×4×4, two of 3×3×4, two of 3×4×8."""
    by_hand = 2 * (4 * 3 * 4 * 4 + 2 * 3 * 3 * 4 + 2 * 3 * 4 * 8)
    assert Architecture(layers=1, width=4, heads=2, inner=8, vocabulary=9, positions=9).flops(3) == by_hand


def test_operations_as_torch_counts_them(encoder):
    from torch.utils.flop_counter import FlopCounterMode

    tokens = torch.from_numpy(spelt(rows=4, most=8))
    tokens[:, :] = 7
    encoder.set_attn_implementation("eager")  # the counter of torch 2.13 passes over the kernel of one step
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        transformer.pooled(encoder, tokens)
    encoder.set_attn_implementation("sdpa")
    assert counter.get_total_flops() == pytest.approx(4 * SMALL.flops(8), rel=1e-6)


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_answers_do_not_depend_on_what_stands_beside(session, batch):
    tokens_NT = spelt(rows=30)
    whole = session.run(None, {"tokens": tokens_NT})[0]
    for at in range(0, 30, batch):
        assert np.array_equal(session.run(None, {"tokens": tokens_NT[at : at + batch]})[0], whole[at : at + batch])


def test_rows_are_filled_up_to_the_edge_that_holds_them():
    assert [edge(each, 64) for each in (1, 16, 17, 64, 65)] == [16, 16, 32, 64, 64]
    assert edge(30, 24) == 24
    found = list(batches(np.array([3, 40, 16, 17, 2]), 64, together=32))
    assert [(rows.tolist(), width) for rows, width in found] == [([0, 2], 16), ([4], 16), ([3], 32), ([1], 64)]


def test_a_batch_in_parts_by_length_is_the_batch(encoder):
    module = texts.network(encoder, SMALL.width, 1, 0, 2)
    tokens = torch.from_numpy(spelt(rows=20))
    with torch.no_grad():
        whole = module.head(transformer.pooled(encoder, tokens))
        assert torch.allclose(module(torch.zeros(20, 0), tokens), whole, atol=1e-5)


def test_what_ships_in_half_precision_is_what_answers(encoder):
    module = texts.network(encoder, SMALL.width, 1, 0, 2)
    texts.rounded(module)
    weights = texts.weights_of(module, SMALL)
    for name, each in module.bodies[0].encoder.state_dict().items():
        assert np.array_equal(weights.arrays[name].astype(np.float32), each.numpy())

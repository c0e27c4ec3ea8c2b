import pytest
import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import mixup


def mixed(seed, rows=64):
    torch.manual_seed(seed)
    y = torch.arange(rows) % 4
    moment = Moment(torch.nn.Identity(), 4, batch={"x": y[:, None].float().expand(-1, 3), "y": y})
    mixup.build(alpha=1.0).apply(Event.BATCH, moment)
    return moment.batch


def test_labels_are_mixed_as_inputs_are():
    batch = mixed(0)
    expected = batch["y"] @ torch.arange(4.0)
    assert torch.allclose(batch["x"][:, 0], expected, atol=1e-5)
    assert torch.allclose(batch["y"].sum(1), torch.ones(64))


def test_follows_from_torchs_seed():
    assert torch.equal(mixed(1)["x"], mixed(1)["x"])
    assert not torch.equal(mixed(1)["x"], mixed(2)["x"])


def test_the_share_is_drawn_from_beta():
    shares = []
    for seed in range(400):
        row = mixed(seed, rows=8)["y"]
        shares.append(float(row.max(1).values.min()))
    # of Beta(1, 1), which is uniform, the larger part has the mean 3/4
    assert sum(shares) / 400 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("x", [torch.zeros(2, 3, dtype=torch.long), None])
def test_tokens_cannot_be_mixed(x):
    batch = {"y": torch.tensor([0, 1])} | ({} if x is None else {"x": x})
    with pytest.raises(ValueError, match="needs floats x"):
        mixup.build().apply(Event.BATCH, Moment(torch.nn.Identity(), 2, batch=batch))

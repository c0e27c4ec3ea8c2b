import torch

from forgeline.engine.stepped import Event, Moment
from forgeline.parts.methods import trivial_augment

IMAGES = torch.rand(12, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def augmented(seed, method=None):
    torch.manual_seed(seed)
    moment = Moment(torch.nn.Identity(), 2, batch={"x": IMAGES, "y": torch.zeros(12)})
    (method or trivial_augment.build()).apply(Event.BATCH, moment)
    return moment.batch["x"]


def test_images_stay_images():
    found = augmented(0)
    assert found.shape == IMAGES.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert not torch.equal(found, IMAGES)


def test_follows_from_torchs_seed_whatever_was_drawn_before():
    method = trivial_augment.build()
    first = augmented(1, method)
    augmented(2, method)
    assert torch.equal(augmented(1, method), first)

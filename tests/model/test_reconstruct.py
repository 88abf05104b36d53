"""The panel of a reconstruction: seen patches stand in it as they are."""

from __future__ import annotations

import numpy as np
import torch
from toy import TOY

from model.mae import MaskedAutoencoder
from model.reconstruct import panel


def test_the_panel_shows_seen_patches_as_they_are() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(TOY.model)
    pictures = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    noise = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    shown = panel(model, pictures, noise, torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1, 1), 0.2))
    assert shown.shape == (2 * 36, 3 * 36) and shown.dtype == np.uint8
    assert np.array_equal(shown[:32, :32], pictures[0, 0].numpy())
    assert np.array_equal(shown[:16, 72:88], pictures[0, 0, :16, :16].numpy())  # the one that was kept
    assert np.array_equal(shown[36 + 16 : 36 + 32, 88:104], pictures[1, 0, 16:, 16:].numpy())
    assert not np.array_equal(shown[16:32, 72:88], pictures[0, 0, 16:, :16].numpy())

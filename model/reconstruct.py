"""What the autoencoder makes of pictures of which it sees a part: a panel to look at."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from model.mae import MaskedAutoencoder
from openus.data import Pixels

GAP = 4


@torch.no_grad()
def panel(model: MaskedAutoencoder, pictures: Tensor, noise: Tensor, mean: Tensor, std: Tensor) -> Pixels:
    """One row a picture: the picture, what the encoder sees of it, and what comes out (seen patches as they are).

    Args:
        model: in any mode; it is left as it was.
        pictures: [N, C, S, S] uint8.
        noise: [N, L], which patches are hidden.
        mean: [C, 1, 1] of 0–1, as `std`.

    Returns (rows, columns) or (rows, columns, 3) uint8, RGB. Where the model predicts patches with mean and deviation
    taken out (norm_pix), the picture's own are put back: the panel then shows structure, not that brightness was found.
    """
    training = model.training
    model.eval()
    images = (pictures.float() / 255 - mean) / std
    _, prediction, mask = model(images, noise)
    model.train(training)
    patches = model.patchify(images)
    if model.norm_pix:
        prediction = prediction * (patches.var(dim=-1, keepdim=True) + 1e-6) ** 0.5 + patches.mean(dim=-1, keepdim=True)
    hidden = mask.unsqueeze(-1).bool()
    seen = torch.where(hidden, torch.zeros_like(patches), patches)
    filled = torch.where(hidden, prediction.to(patches.dtype), patches)
    columns = []
    for one in (images, model.unpatchify(seen), model.unpatchify(filled)):
        levels = ((one * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
        columns.append(levels.permute(0, 2, 3, 1).cpu().numpy())
    rows = [np.concatenate([_framed(column[n]) for column in columns], axis=1) for n in range(len(pictures))]
    whole = np.concatenate(rows, axis=0)
    return np.asarray(whole[..., 0] if whole.shape[2] == 1 else whole, np.uint8)


def _framed(picture: Pixels) -> Pixels:
    """A white edge right and below."""
    return np.pad(picture, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def png(picture: Pixels) -> bytes:
    """The panel as a PNG."""
    ordered = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", ordered)[1].tobytes())

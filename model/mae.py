"""The masked autoencoder of He et al. 2022 (Masked Autoencoders Are Scalable Vision Learners), on timm's blocks.

    picture → patches → a quarter of them, embedded → encoder → mask tokens in the gaps → decoder → the missing pixels

Parameters have the names and shapes of facebook's `models_mae.py`, so that its state dicts, and those of who built on
it, load as they are; given the same weights, pictures and noise, loss and gradients are the same to rounding.
Letters in shapes: N pictures, C channels, H × W pixels, L patches a picture, K of them kept, p pixels a patch's side,
D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from model.params import ModelParams
from openus.errors import ParamsError


@dataclass(frozen=True)
class Architecture:
    """Sizes of an encoder, and the timm model that has the same."""

    width: int
    depth: int
    heads: int
    patch: int
    timm: str
    """Name for `timm.create_model`."""
    mlp_ratio: float = 4.0


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "vit_test_patch16": Architecture(64, 6, 2, 16, "test_vit", mlp_ratio=3.0),
        "vit_tiny_patch16": Architecture(192, 12, 3, 16, "vit_tiny_patch16_224"),
        "vit_small_patch16": Architecture(384, 12, 6, 16, "vit_small_patch16_224"),
        "vit_base_patch16": Architecture(768, 12, 12, 16, "vit_base_patch16_224"),
        "vit_large_patch16": Architecture(1024, 24, 16, 16, "vit_large_patch16_224"),
        "vit_huge_patch14": Architecture(1280, 32, 16, 14, "vit_huge_patch14_224"),
    }
)
"""Encoders by name. vit_test_patch16 is for tests and demonstrations."""


class MaskedAutoencoder(nn.Module):
    """Encoder and decoder; calling it with pictures and noise gives the loss. See `forward`."""

    def __init__(self, params: ModelParams) -> None:
        """New weights, drawn from torch's generator as facebook draws them.

        Raises ParamsError when the sizes do not go together.
        """
        super().__init__()
        self.architecture = _architecture(params)
        self.channels = params.channels
        self.norm_pix = params.norm_pix
        width, narrow = self.architecture.width, params.decoder_width
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        block = partial(Block, mlp_ratio=self.architecture.mlp_ratio, qkv_bias=True, norm_layer=norm)

        self.patch_embed = PatchEmbed(params.image_size, self.architecture.patch, params.channels, width)
        self.side = params.image_size // self.architecture.patch
        self.kept = int(self.patches * (1 - params.mask_ratio))  # rounded as facebook does
        if not 0 < self.kept < self.patches:
            raise ParamsError(
                f"model.mask_ratio: {params.mask_ratio} of {self.patches} patches keeps {self.kept}.",
                "At least one patch is kept and one is removed.",
            )

        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(sincos(self.side, width), requires_grad=False)
        self.blocks = nn.ModuleList([block(width, self.architecture.heads) for _ in range(self.architecture.depth)])
        self.norm = norm(width)

        self.decoder_embed = nn.Linear(width, narrow)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, narrow))
        self.decoder_pos_embed = nn.Parameter(sincos(self.side, narrow), requires_grad=False)
        self.decoder_blocks = nn.ModuleList([block(narrow, params.decoder_heads) for _ in range(params.decoder_depth)])
        self.decoder_norm = norm(narrow)
        self.decoder_pred = nn.Linear(narrow, self.architecture.patch**2 * params.channels)
        self._initialise()

    @property
    def patches(self) -> int:
        """L, patches a picture: the length of the noise."""
        return self.side**2

    def _initialise(self) -> None:
        """Xavier's weights and no bias for every linear map, the patch embedding among them; tokens from N(0, 0.02)."""
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.data.flatten(1))
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, prediction, mask) of pictures of which each patch is kept or removed as its noise says.

        Args:
            images: [N, C, H, W], normalised.
            noise: [N, L], float32 in [0, 1): the patches with the smallest are kept. It comes from outside so that a
                picture's mask is its own, whatever the batch or the process it falls into.

        Returns:
            loss: mean squared error of the removed patches, a scalar.
            prediction: [N, L, p·p·C], of all patches.
            mask: [N, L], 1 where the patch was removed.
        """
        patches = self.patchify(images)
        keep = noise.argsort(dim=1, stable=True)[:, : self.kept]  # [N, K]; stable: equal noises fall alike everywhere
        mask = torch.ones_like(noise).scatter(1, keep, 0.0)
        prediction = self.decode(self.encode(patches, keep), keep)
        return self.loss(patches, prediction, mask), prediction, mask

    def features(self, images: Tensor) -> Tensor:
        """[N, D], the class token after the last norm, of whole pictures [N, C, H, W], normalised."""
        everything = torch.arange(self.patches, device=images.device).expand(len(images), -1)
        return self.encode(self.patchify(images), everything)[:, 0]

    def encode(self, patches: Tensor, keep: Tensor) -> Tensor:
        """Latent [N, 1 + K, D], class token first, of the patches numbered in `keep` [N, K] among [N, L, p·p·C]."""
        # A convolution with stride p is a linear map of patches, so only those that are kept need be embedded.
        weight = self.patch_embed.proj.weight  # [D, C, p, p]
        weight = (weight if self.channels == 1 else weight.permute(0, 2, 3, 1)).flatten(1)  # as `patchify` orders
        kept = patches.gather(1, keep.unsqueeze(2).expand(-1, -1, patches.shape[2]))  # [N, K, p·p·C]
        x = functional.linear(kept, weight, self.patch_embed.proj.bias)  # [N, K, D]
        x = x + self.pos_embed[0, 1:][keep]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)  # [N, 1, D]
        x = torch.cat([first, x], dim=1)
        for block in self.blocks:
            x = block(x)
        latent: Tensor = self.norm(x)
        return latent

    def decode(self, latent: Tensor, keep: Tensor) -> Tensor:
        """Prediction [N, L, p·p·C] of all patches from the latent [N, 1 + K, D] of those in `keep` [N, K]."""
        x = self.decoder_embed(latent).to(self.mask_token.dtype)  # [N, 1 + K, D]; autocast left it short
        gaps = self.mask_token.expand(len(x), self.patches, -1)
        full = gaps.scatter(1, keep.unsqueeze(2).expand(-1, -1, x.shape[2]), x[:, 1:])  # [N, L, D]
        x = torch.cat([x[:, :1], full], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        prediction: Tensor = self.decoder_pred(self.decoder_norm(x))
        return prediction[:, 1:]

    def loss(self, patches: Tensor, prediction: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error over the pixels of removed patches; of normalised patches where `norm_pix` says so."""
        if self.norm_pix:
            variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)  # unbiased, as facebook's
            patches = (patches - mean) / (variance + 1e-6).sqrt()
        error = (prediction - patches).square().mean(dim=-1)  # [N, L]
        return (error * mask).sum() / mask.sum()

    def patchify(self, images: Tensor) -> Tensor:
        """[N, C, H, W] as patches [N, L, p·p·C]: patches by row, then column; in a patch row, column, channel."""
        p, side = self.architecture.patch, self.side
        x = torch.unflatten(torch.unflatten(images, 3, (side, p)), 2, (side, p))  # [N, C, side, p, side, p]
        return x.permute(0, 2, 4, 3, 5, 1).reshape(len(images), side * side, p * p * self.channels)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """[N, L, p·p·C] as pictures [N, C, H, W]: `patchify` undone."""
        p, side = self.architecture.patch, self.side
        x = patches.reshape(len(patches), side, side, p, p, self.channels)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), self.channels, side * p, side * p)


def sincos(side: int, width: int) -> Tensor:
    """Position embedding [1, 1 + side², width] float32, zero for the class token (Vaswani et al. 2017, in two axes).

    A quarter of the width each: sine and cosine of the column, sine and cosine of the row. Column first is facebook's
    order; weights depend on it.
    """
    quarter = width // 4
    rates = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(side, dtype=torch.float64).outer(rates)  # [side, width / 4]
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # [side, width / 2]
    grid = torch.cat([axis.repeat(side, 1), axis.repeat_interleave(side, dim=0)], dim=1)  # [side², width]
    return torch.cat([torch.zeros(1, width), grid.float()])[None]


def _architecture(params: ModelParams) -> Architecture:
    """The encoder's sizes. Raises ParamsError when a name is unknown or sizes do not go together."""
    if params.architecture not in ARCHITECTURES:
        raise ParamsError(
            f"model.architecture: there is no {params.architecture!r}.", f"One of {', '.join(ARCHITECTURES)}."
        )
    found = ARCHITECTURES[params.architecture]
    if params.image_size % found.patch:
        raise ParamsError(
            f"model.image_size: {params.image_size} is no multiple of {params.architecture}'s patch.",
            f"Use a multiple of {found.patch}.",
        )
    if params.decoder_width % params.decoder_heads or params.decoder_width % 4:
        raise ParamsError(
            f"model.decoder_width: {params.decoder_width} does not divide among {params.decoder_heads} heads and "
            "the 4 parts of a position embedding.",
            "Use a multiple of both.",
        )
    return found

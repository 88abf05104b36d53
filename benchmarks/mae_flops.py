"""What pre-training and evaluation need, by architecture: arithmetic, memory, and hours on GPUs of a given peak.

    python benchmarks/mae_flops.py [--image-size 224] [--pictures 370000] [--epochs 100]

Counted, not estimated: operations by torch's FlopCounterMode over forward and backward on the meta device (two a
multiply-add), bytes that backward keeps by hooks on saved tensors. The hours follow from a share of the peak that is
assumed (40 %), not measured here.
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from model.mae import ARCHITECTURES, MaskedAutoencoder
from model.params import ModelParams

PEAKS = {"H100 SXM": 989e12, "A100": 312e12, "RTX 4090": 165e12}
"""Dense bf16 operations a second, as the makers state them."""
SHARE = 0.4
STATE_BYTES = 16
"""A parameter with its gradient and AdamW's two moments, fp32."""


def flops(params: ModelParams) -> tuple[float, int]:
    """(operations of forward and backward for a picture, parameters)."""
    with torch.device("meta"):
        model = MaskedAutoencoder(params)
        images = torch.empty(1, params.channels, params.image_size, params.image_size)
        noise = torch.rand(1, model.patches)
        with FlopCounterMode(display=False) as counter:
            model(images, noise)[0].backward()
    return counter.get_total_flops(), sum(value.numel() for value in model.parameters())


def encoder_flops(params: ModelParams) -> tuple[float, float]:
    """Operations of the encoder for a whole picture: (features, a step of fine-tuning)."""
    import timm

    name, shape = ARCHITECTURES[params.architecture].timm, (1, params.channels, params.image_size, params.image_size)
    with torch.device("meta"):
        model = timm.create_model(name, in_chans=params.channels, img_size=params.image_size, num_classes=2)
        with FlopCounterMode(display=False) as counter:
            loss = model(torch.empty(shape)).sum()
            features = counter.get_total_flops()
            loss.backward()
    return features, counter.get_total_flops()


def kept_bytes(params: ModelParams) -> int:
    """Bytes that backward keeps for a picture under bf16 autocast, weights not counted (each storage once)."""
    with torch.device("cpu"):
        model = MaskedAutoencoder(params)
    own = {value.untyped_storage().data_ptr() for value in model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    sizes = []
    for count in (1, 3):  # the difference leaves out what does not grow with the batch, e.g. weights cast to bf16
        seen.clear()
        images = torch.randn(count, params.channels, params.image_size, params.image_size)
        noise = torch.rand(count, model.patches)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16):
            kept = model(images, noise)[0]
            sizes.append(sum(seen.values()))
            del kept
    return (sizes[1] - sizes[0]) // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=370_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--names", nargs="+", default=[name for name in ARCHITECTURES if "test" not in name])
    args = parser.parse_args()
    head = [f"hours, {name}" for name in PEAKS]
    print("| encoder | parameters | GFLOP a picture | weights and optimiser | a picture of a micro-batch | "
          + " | ".join(head) + " | GFLOP, features | GFLOP, fine-tuning |")  # fmt: skip
    print("|---|---:|---:|---:|---:|" + "---:|" * (len(head) + 2))
    for name in args.names:
        params = ModelParams(name, image_size=args.image_size, channels=args.channels)
        count, size = flops(params)
        hours = [count * args.pictures * args.epochs / (SHARE * peak) / 3600 for peak in PEAKS.values()]
        cells = [name, f"{size / 1e6:.0f} M", f"{count / 1e9:.1f}", f"{size * STATE_BYTES / 2**30:.1f} GiB",
                 f"{kept_bytes(params) / 2**20:.0f} MiB", *(f"{hour:.1f}" for hour in hours),
                 *(f"{count / 1e9:.1f}" for count in encoder_flops(params))]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

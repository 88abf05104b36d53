"""openus: one trustworthy, defensible pre-training corpus out of scattered public ultrasound data.

The package is imported cheaply on purpose: `import openus` loads nothing heavy. Work lives in

- `openus.build`    curate (decode once) -> decide (tables) -> pack (bytes)
- `openus.leakage`  the gate between a pre-training corpus and held-out benchmarks
- `openus.sources`  one module per dataset
"""

__version__ = "0.1.0"

__all__ = ["__version__"]

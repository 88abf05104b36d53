"""Frozen and fine-tuned encoders on labelled pictures that pre-training never saw.

    splits       official folds and lists as they are, all else by patient
    encoders     timm models of a folder, of a file, or new
    features     pictures as tensors, frozen features
    choose       what the protocols share: validation chooses
    knn, linear, finetune    the protocols: fit(train, validation) -> a classifier, which meets the test part last
    predictions  predictions.parquet, and the paired comparison of two of them
    run          all of it for one benchmark, model and protocol

`python -m model.evaluate` is the command.
"""

from model.evaluate.predictions import compare
from model.evaluate.run import evaluate

__all__ = ["compare", "evaluate"]

"""From a corpus of openus to an encoder, and from the encoder to a table one can defend.

    params       every knob of this part, read as strictly as the rest
    mae          the masked autoencoder (He et al. 2022), on timm's blocks
    weights      state dicts of others into ours and ours into timm's; no pickle is run
    data         pictures by the manifest's addresses, in an order that depends on the seed alone
    run          what a run trains on and how, decided and refused before its first step
    pretrain     the training loop: `python -m model.pretrain`, or `torchrun -m model.pretrain`
    checkpoint   what a run leaves behind: its state to resume, its encoder to use, a card that says what went in
    metrics      scores with patient-level intervals, paired tests
    evaluate     frozen and fine-tuned encoders on labelled pictures that pre-training never saw
    report       the tables and pictures as one Markdown page

`model` imports `openus`, never the reverse; it is a package of the repository and not of the wheel.
"""

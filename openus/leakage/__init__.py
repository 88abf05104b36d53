"""The gate between a pre-training corpus and held-out benchmarks.

`check` looks at what would be trained on (the shards' own bytes, fingerprinted again) and trusts no table for
pixels. Patients and relations come from the tables and the samples' JSON, since pixels cannot tell them.

    sides   reading either side: manifest, folder of shards, folder of pictures
    gate    the four rules: pixel, near, patient, relation
    page    the findings as one HTML page with the pairs side by side
    verdict what was found, written down and held against a corpus before it is trained on
"""

from openus.leakage.gate import Findings, Leak, audit_split, check
from openus.leakage.page import page
from openus.leakage.sides import Side, read_side, sides
from openus.leakage.verdict import Verdict, admit

__all__ = ["Findings", "Leak", "Side", "Verdict", "admit", "audit_split", "check", "page", "read_side", "sides"]

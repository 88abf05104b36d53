"""What leaves pre-training because of what is held out: `leakage`, with a reason a row.

Looks at the same ids, marks and relations as the gate (`openus.leakage`), which must find nothing after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openus import relations
from openus.build.load import Row
from openus.patients import Patients


def drop_related(rows: Sequence[Row]) -> None:
    """Drop pretrain rows that share a patient, a benchmark's mark or a relation with a held-out one."""
    held_out = [row for row in rows if row.role == "held-out"]
    patients = Patients()
    for row in held_out:
        patients.add(row.key, *_ids(row))
    benchmarks = {row.source for row in held_out}
    partners = _partners(rows, benchmarks)
    marks = benchmarks | {row.carries for row in held_out if row.carries is not None}
    for row in rows:
        if row.role != "held-out" and (reason := _shared(row, patients, partners, marks)):
            row.drop_reason, row.leak_reason = "leakage", reason


def drop_matched(rows: Sequence[Row], pairs: Sequence[tuple[int, int]]) -> None:
    """Drop pretrain rows that match a held-out one (`pairs` of row numbers), and all of the same patient or clip."""
    patients = Patients()
    videos: set[str | None] = set()
    for a, b in pairs:
        for mine, other in ((rows[a], rows[b]), (rows[b], rows[a])):
            if mine.role != "held-out" and other.role == "held-out":
                if mine.duplicate_of is None or other.key < mine.duplicate_of:
                    mine.duplicate_of = other.key
                mine.drop_reason, mine.leak_reason = "leakage", f"it shows the picture of {mine.duplicate_of}"
                patients.add(mine.key, *_ids(mine))
                videos.add(mine.video_id)
    for row in rows:
        if row.role == "held-out" or row.quality == "blank":
            continue
        found = patients.find(*_ids(row))
        if found or (row.video_id is not None and row.video_id in videos):
            row.drop_reason = "leakage"
            what = f"{found[1]} is that of {found[0]}, which" if found else "its clip"
            row.leak_reason = row.leak_reason or f"{what} shows a held-out picture"


def _ids(row: Row) -> tuple[list[str], list[str]]:
    """Patient and examination of a row, each in a list that is empty where it is not known."""
    patients, studies = ([] if value is None else [value] for value in (row.patient_id, row.study_id))
    return patients, studies


def _shared(row: Row, patients: Patients, partners: Mapping[str, str], marks: set[str]) -> str | None:
    """What a row shares with what is held out, pictures apart; None for nothing."""
    if found := patients.find(*_ids(row)):
        return f"{found[1]} is that of {found[0]}, which is held out"
    if row.carries in marks:
        return f"its file bears the mark of {row.carries}, which is held out"
    return partners.get(row.source)


def _partners(rows: Sequence[Row], held_out: set[str]) -> dict[str, str]:
    """Sources that are held out together with one of the held-out sources, and why."""
    present = sorted({row.source for row in rows} - held_out)
    reasons = ((source, relations.held_out_partners(source, held_out)) for source in present)
    return {source: reason for source, reason in reasons if reason}

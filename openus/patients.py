"""Whether pictures are of one patient, as far as their ids tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class Patients:
    """Pictures by patient and examination; the first of each stands for it.

    One examination is of one patient: where one of two pictures does not tell its patient, an equal `study_id` says as
    much as an equal `patient_id` (DICOM PS3.3, A.1.2.2: a Study is of one Patient). Where both tell, it says
    nothing: a layout may number examinations anew for each patient.
    """

    by_patient: dict[str, str] = field(default_factory=dict)
    by_study: dict[str, str] = field(default_factory=dict)
    of_nobody: dict[str, str] = field(default_factory=dict)
    """Study -> key of a picture that does not tell its patient."""

    def add(self, key: str, patients: Collection[str], studies: Collection[str]) -> None:
        """Remember a picture. Its ids are namespaced, and there may be none."""
        for patient in patients:
            self.by_patient.setdefault(patient, key)
        for study in studies:
            self.by_study.setdefault(study, key)
            if not patients:
                self.of_nobody.setdefault(study, key)

    def find(self, patients: Collection[str], studies: Collection[str]) -> tuple[str, str] | None:
        """(key of a picture of the same patient, what the two share), None when there is none.

        >>> seen = Patients()
        >>> seen.add("a", ["busi:1"], ["busi:day 1"])
        >>> seen.find([], ["busi:day 1"]), seen.find(["busi:2"], ["busi:day 1"])
        (('a', 'examination busi:day 1'), None)
        """
        for patient in sorted(patients):
            if patient in self.by_patient:
                return self.by_patient[patient], f"patient {patient}"
        known = self.of_nobody if patients else self.by_study
        return next(((known[study], f"examination {study}") for study in sorted(studies) if study in known), None)

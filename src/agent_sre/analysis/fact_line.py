"""One line of evidence as the model sees it. What packs the lines and what checks sentences against them share this type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One numbered fact. Several lines may tell of the same evidence; a sentence cites the evidence, not the line."""

    evidence_id: str  # E07, as the report and the page have it
    text: str  # without the id: neutralised, redacted, numbers formatted as a reader would say them
    at: datetime | None = None  # when what it tells of began or happened; None where nobody knows

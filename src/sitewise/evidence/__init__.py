"""Published summaries: schema, checks, the packaged library."""

from sitewise.evidence.reading import PACKAGED, evidence_hash, evidence_path, load_evidence, read_evidence
from sitewise.evidence.schema import Evidence

__all__ = ["PACKAGED", "Evidence", "evidence_hash", "evidence_path", "load_evidence", "read_evidence"]

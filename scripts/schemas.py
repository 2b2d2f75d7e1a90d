"""Write the published JSON Schemas of the files that people write: docs/*.schema.json. Run by ``make schemas``."""

from __future__ import annotations

import json
from pathlib import Path

from sitewise.evidence import Evidence
from sitewise.records import json_schema
from sitewise.simulate import Scenario
from sitewise.trial import TrialDesign

DOCS = Path(__file__).resolve().parents[1] / "docs"
PUBLISHED = {"evidence": Evidence, "scenario": Scenario, "trial": TrialDesign}


def main() -> None:
    """Write every schema."""
    for name, kind in PUBLISHED.items():
        text = json.dumps(json_schema(kind), indent=1, sort_keys=True) + "\n"
        (DOCS / f"{name}.schema.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Files of checks with a comparison of families beside."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import sitewise as sw
from sitewise.report.checks_write import write_checks

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "checks.md"


@pytest.fixture(scope="module")
def parts(make_frame):
    cohort = sw.Cohort.from_frame(make_frame(90, seed=7), time="months", event="died", site="hospital", time_unit="months")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)")
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=500), seed=1)
    families = sw.compare_families(fit, families=[sw.Weibull(), sw.Exponential()])
    return fit, sw.check(fit, replicates=19, priors=False), families


def test_families_are_files_a_picture_and_a_section(parts, tmp_path):
    fit, found, families = parts
    written = write_checks(found, fit, tmp_path, seed=1, families=families)
    assert {"check_families.csv", "check_family_groups.csv", "check_families.png", "check_families.svg"} <= set(written)
    page = (tmp_path / "checks.html").read_text(encoding="utf-8")
    assert "Other families" in page
    assert families.sentence.capitalize() in page
    assert "How much is the prior?" not in page  # it was not asked
    if DOCUMENT.exists():
        for name in ("check_families.csv", "check_family_groups.csv"):
            line = next(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}`"))
            told = re.search(r"with `--families`: `([^`]*)`", line)
            assert told is not None
            assert list(pd.read_csv(tmp_path / name).columns) == told[1].split(", ")


def test_files_of_an_earlier_run_go(parts, tmp_path):
    fit, found, families = parts
    write_checks(found, fit, tmp_path, seed=1, families=families)
    written = write_checks(found, fit, tmp_path, seed=1)
    assert {path.name for path in tmp_path.iterdir()} == set(written)
    assert not any("famil" in name for name in written)

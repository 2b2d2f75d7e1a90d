"""Draws that remaining times come from: what sets a patient apart is the sum of group, site and treatment there."""

from __future__ import annotations

import numpy as np

from sitewise.trial.analysis.imputing_draws import ImputingDraws


def test_log_hazard_ratios_are_those_of_group_site_and_treatment_at_the_site():
    """Patient by patient and draw by draw; only the experimental arm has the treatment."""
    rng = np.random.default_rng(1)
    sets, sites, groups, patients = 5, 3, 2, 40
    draws = ImputingDraws(
        np.ones(sets), np.zeros(sets), *(rng.standard_normal((sets, size)) for size in (sites, groups, sites))
    )  # fmt: skip
    site, group, arm = (rng.integers(0, size, (sets, patients)) for size in (sites, groups, 2))
    found = draws.log_hazard_ratio(site=site.astype(np.int16), group=group.astype(np.int16), arm=arm.astype(np.int8))
    for draw in range(sets):
        for patient in range(patients):
            where = site[draw, patient]
            expected = draws.groups[draw, group[draw, patient]] + draws.site[draw, where]
            expected += draws.treatment[draw, where] * arm[draw, patient]
            assert found[draw, patient] == np.float64(expected)

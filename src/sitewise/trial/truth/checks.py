"""What joint draws must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sitewise.problems import TrialError

if TYPE_CHECKING:
    from sitewise.trial.truth.truth import Truth


def check_truth(truth: Truth, /) -> None:
    """Check a truth's arm, the sizes of its arrays, and their numbers.

    Raises
    ------
    TrialError
        When they do not fit together.
    """
    rows, profiles = truth.log_scale.size, len(truth.profiles)
    if truth.cohort_arm not in ("experimental", "control"):
        raise TrialError(
            f"cohort_arm is {truth.cohort_arm!r}; say whose treatment the cohort's patients had: 'experimental' or 'control'."
        )
    shapes = {"index": truth.index.shape, "shares": truth.shares.shape}
    wrong = [f"{name} {shape}" for name, shape in shapes.items() if shape != (rows, profiles)]
    wrong += [f"shape {item.shape}" for item in truth.shape if item.shape != (rows,)]
    wrong += [f"site_sd {truth.site_sd.shape}"] if truth.site_sd.shape != (rows,) else []
    ratios = (truth.effect.log_hazard_ratio, *truth.effect.further)
    wrong += [] if all(item.shape == (rows,) for item in ratios) else ["effect.log_hazard_ratio"]
    if wrong:
        raise TrialError(f"A truth of {rows} rows and {profiles} profiles has arrays of other sizes: {', '.join(wrong)}.")
    if not np.allclose(truth.shares.sum(axis=1), 1.0) or (truth.shares < 0).any():
        raise TrialError("The case mix of a truth must have shares of zero or more that sum to 1 in each row.")
    if not (np.isfinite(truth.log_scale).all() and np.isfinite(truth.index).all() and (truth.site_sd >= 0).all()):
        raise TrialError("A truth has numbers that are not finite, or a negative site spread.")
    if truth.effect.cured and truth.effect.further:
        raise TrialError("Cure is of the first experimental arm only, and the truth has further ones: leave one of them out.")
    if truth.effect.cured and truth.cohort_arm == "experimental":
        raise TrialError(
            "A cohort of the experimental arm has those whom the treatment cures in its curve: cured cannot be told from it. "
            "Fit the cohort with a mixture-cure family, and leave cured out."
        )

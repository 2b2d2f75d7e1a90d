"""What is modelled: specs, priors as data, designs, and the PyMC graph of a spec."""

from sitewise.models.priors import Prior, Priors, median_survival_prior, site_sd_from_median_ratio
from sitewise.models.shrinkage import R2D2, RegularisedHorseshoe
from sitewise.models.site_effects import FixedSites, NoSites, RandomSites
from sitewise.models.spec import ModelSpec, Resolution
from sitewise.models.term_laws import Exchangeable, Monotone

__all__ = [
    "R2D2",
    "Exchangeable",
    "FixedSites",
    "ModelSpec",
    "Monotone",
    "NoSites",
    "Prior",
    "Priors",
    "RandomSites",
    "RegularisedHorseshoe",
    "Resolution",
    "median_survival_prior",
    "site_sd_from_median_ratio",
]

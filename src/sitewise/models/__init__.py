"""What is modelled: specs, priors as data, designs, and the PyMC graph of a spec."""

from sitewise.models.priors import Prior, Priors, median_survival_prior, site_sd_from_median_ratio
from sitewise.models.site_effects import FixedSites, NoSites, RandomSites
from sitewise.models.spec import ModelSpec, Resolution

__all__ = [
    "FixedSites",
    "ModelSpec",
    "NoSites",
    "Prior",
    "Priors",
    "RandomSites",
    "Resolution",
    "median_survival_prior",
    "site_sd_from_median_ratio",
]

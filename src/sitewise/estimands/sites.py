"""The four site treatments, always named: observed site, average site, marginal over sites, a new site.

Where a model has further groupings, such as surgeons, patients are in an average group (effect zero) under all four.
"""

from __future__ import annotations

from dataclasses import dataclass

from sitewise import names
from sitewise.cohort.levels import label


@dataclass(frozen=True)
class Observed:
    """Sites that were observed.

    Parameters
    ----------
    site : str or number, optional
        Everyone is at this site. Default: each member of a group keeps their own site.
    """

    site: str | int | None = None

    def __post_init__(self) -> None:
        if self.site is not None:
            object.__setattr__(self, "site", label(self.site))

    @property
    def label(self) -> str:
        """The name in tables."""
        return names.OBSERVED if self.site is None else f"{names.OBSERVED}:{self.site}"


@dataclass(frozen=True)
class Average:
    """An average site: site effect zero, and slopes zero."""

    @property
    def label(self) -> str:
        """The name in tables."""
        return names.AVERAGE


@dataclass(frozen=True)
class Marginal:
    """A population of sites: site effect and slopes are integrated over their distributions inside each draw."""

    @property
    def label(self) -> str:
        """The name in tables."""
        return names.MARGINAL


@dataclass(frozen=True)
class New:
    """One new site, drawn per posterior draw: the prediction for a hospital not yet seen.

    Parameters
    ----------
    seed : int, optional
        Seed of the new sites; default the fit's, so that all estimands of a fit are about the same new sites.
    """

    seed: int | None = None

    @property
    def label(self) -> str:
        """The name in tables."""
        return names.NEW


SiteTreatment = Observed | Average | Marginal | New

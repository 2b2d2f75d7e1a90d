"""How sites enter a model: random intercepts and slopes, fixed effects, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sitewise.problems import SpecError, listed, nearest

NORMAL, STUDENT_T = "normal", "student-t"
DISTRIBUTIONS = (NORMAL, STUDENT_T)
USUAL_FREEDOM = 4.0
INTERCEPT = "intercept"
"""Label of the site effect itself beside the slopes, in their correlation matrix."""


@dataclass(frozen=True)
class RandomSites:
    """Random intercepts b_j with sd site_sd, one a site, and random slopes of some terms.

    The effect of a patient's site is b_j + sum over slope columns of s_jk (x_k - x_k of the reference patient), with b_j ~
    Normal(0, site_sd) and s_jk ~ Normal(0, site_slope_sd_k): b_j is about the reference patient, s_jk is how much the effect of
    column k differs at site j from that at an average site. They are independent, or correlated: a site at which patients live
    longer may be one at which a covariate matters less.

    Parameters
    ----------
    centred : bool
        Sample b_j and s_jk themselves (better with many events a site) instead of standardised (the default, better with few).
    slopes : sequence of str
        Terms of the model whose effects differ by site.
    correlated : bool
        Whether intercept and slopes of a site are correlated; their correlation matrix has an LKJ prior.
    distribution : {"normal", "student-t"}
        Of the intercepts. Student's t expects a few sites far from the others, and pulls them less towards these. ``site_sd``
        is its sd, which is its scale times sqrt(nu / (nu - 2)).
    degrees_of_freedom : float or None
        Nu of Student's t, above 2 so that it has an sd; None for a prior (:attr:`Priors.site_degrees_of_freedom`).
    """

    centred: bool = False
    slopes: tuple[str, ...] = ()
    correlated: bool = False
    distribution: str = NORMAL
    degrees_of_freedom: float | None = USUAL_FREEDOM

    def __post_init__(self) -> None:
        object.__setattr__(self, "slopes", tuple(self.slopes))
        if self.distribution not in DISTRIBUTIONS:
            raise SpecError(f"The distribution of sites is '{self.distribution}'. {nearest(self.distribution, DISTRIBUTIONS)}")
        if not self.is_student_t and self.degrees_of_freedom != USUAL_FREEDOM:
            raise SpecError(
                f"degrees_of_freedom is {self.degrees_of_freedom}, and normal sites have none. Use distribution='student-t', "
                "or leave it out."
            )
        if self.degrees_of_freedom is not None and not 2 < self.degrees_of_freedom < inf:
            raise SpecError(
                f"degrees_of_freedom is {self.degrees_of_freedom}; it must be above 2, so that sites have an sd, and finite. "
                "For a normal distribution write distribution='normal'; for a prior, degrees_of_freedom=None."
            )
        if self.is_student_t and self.slopes:
            raise SpecError(
                f"Student-t sites have no random slopes ({listed(self.slopes)}) here. Use distribution='normal', or write "
                "(1 | site)."
            )

    @property
    def is_student_t(self) -> bool:
        """Whether intercepts have Student's t distribution."""
        return self.distribution == STUDENT_T

    @property
    def is_plain(self) -> bool:
        """Whether all effects are independent and normal."""
        return not self.correlated and not self.is_student_t


@dataclass(frozen=True)
class FixedSites:
    """A fixed effect a site, summing to zero over sites, so that "average site" keeps its meaning."""


@dataclass(frozen=True)
class NoSites:
    """No site effect: the sites are pooled completely."""


SiteEffect = RandomSites | FixedSites | NoSites
SITE_EFFECTS: dict[str, type[SiteEffect]] = {"random": RandomSites, "fixed": FixedSites, "none": NoSites}

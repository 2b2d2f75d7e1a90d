"""How sites enter a model: random intercepts and slopes, fixed effects, or not at all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RandomSites:
    """Random intercepts b_j ~ Normal(0, site_sd), one a site, and random slopes of some terms.

    The effect of a patient's site is b_j + sum over slope columns of s_jk (x_k - x_k of the reference patient), with s_jk ~
    Normal(0, site_slope_sd_k), all independent: b_j is about the reference patient, s_jk is how much the effect of column k
    differs at site j from that at an average site.

    Parameters
    ----------
    centred : bool
        Sample b_j and s_jk themselves (better with many events a site) instead of standardised (the default, better with few).
    slopes : sequence of str
        Terms of the model whose effects differ by site.
    """

    centred: bool = False
    slopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "slopes", tuple(self.slopes))


@dataclass(frozen=True)
class FixedSites:
    """A fixed effect a site, summing to zero over sites, so that "average site" keeps its meaning."""


@dataclass(frozen=True)
class NoSites:
    """No site effect: the sites are pooled completely."""


SiteEffect = RandomSites | FixedSites | NoSites
SITE_EFFECTS: dict[str, type[SiteEffect]] = {"random": RandomSites, "fixed": FixedSites, "none": NoSites}

"""One prior as data: the name of a PyMC distribution and its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sitewise.problems import SpecError


@dataclass(frozen=True)
class Prior:
    """A distribution by its PyMC name, such as ``Prior("Normal", mu=0, sigma=1)``.

    Parameters
    ----------
    dist : str
        Name of a PyMC distribution.
    **parameters : float, or sequence of float
        Its parameters, by PyMC's names; lists where the distribution takes them, such as
        ``Prior("NormalMixture", w=[0.8, 0.2], mu=[0.5, 0], sigma=[0.3, 1])``.
    """

    dist: str
    parameters: tuple[tuple[str, Any], ...]

    def __init__(self, dist: str, /, **parameters: float | Sequence[float]):
        object.__setattr__(self, "dist", dist)
        try:
            pairs = tuple(sorted((key, _numbers(value)) for key, value in parameters.items()))
        except (TypeError, ValueError) as error:
            raise SpecError(f"Parameters of the prior {dist} must be numbers: {parameters}.") from error
        object.__setattr__(self, "parameters", pairs)

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as a dict of numbers, and tuples of numbers."""
        return dict(self.parameters)

    @property
    def scalar(self) -> bool:
        """Whether every parameter is one number."""
        return not any(isinstance(value, tuple) for _, value in self.parameters)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={_shown(value)}" for key, value in self.parameters)
        return f"{self.dist}({inside})"

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"dist": ..., parameters}``, the form of ``study.toml``."""
        return {"dist": self.dist} | {key: list(value) if isinstance(value, tuple) else value for key, value in self.parameters}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "prior") -> Self:
        """Return the prior written as ``{"dist": ..., parameters}``."""
        if not isinstance(data.get("dist"), str):
            raise SpecError(f'{where}: name a PyMC distribution as dist = "..."; got {dict(data)}.')
        return cls(data["dist"], **{key: value for key, value in data.items() if key != "dist"})

    def shifted(self, shift: float) -> Prior:
        """Return the prior of this quantity plus ``shift`` (distributions located by ``mu``)."""
        values = self.values
        if "mu" not in values:
            raise SpecError(
                f"The prior {self} of a baseline must be located by mu (Normal, StudentT, Laplace, ...), so that it can be "
                "moved between the reference patient and the covariate means."
            )
        mu = values["mu"]
        moved = [one + shift for one in mu] if isinstance(mu, tuple) else mu + shift
        return Prior(self.dist, **{**values, "mu": moved})


def _numbers(value: Any) -> float | tuple[float, ...]:
    """Return a parameter as a number, or as a tuple of numbers."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        found = tuple(float(one) for one in value)
        if not found:
            raise ValueError("an empty list")
        return found
    return float(value)


def _shown(value: float | tuple[float, ...]) -> str:
    return f"[{', '.join(f'{one:.4g}' for one in value)}]" if isinstance(value, tuple) else f"{value:.4g}"

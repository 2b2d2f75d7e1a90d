"""Reading a formula: ``Surv(time, event) ~ ecog + age + (1 | site)``.

The grammar is that of ``formulae`` (Bambi's parser); this module only finds the parts that a survival model needs:
the columns in ``Surv``, the terms of the linear predictor, and the site intercept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sitewise.problems import SpecError, listed

SHAPE_OF_A_FORMULA = (
    "Write it as Surv(time, event) ~ ecog + age + (1 | site), or Surv(entry, time, event) ~ ..., or "
    'Surv(lower, upper, type="interval") ~ ...'
)
INTERVAL = 'type="interval"'
_TYPE = re.compile(r"""^type\s*=\s*["'](\w+)["']$""")
_SURV = re.compile(r"^\s*Surv\s*\(([^()]*)\)\s*$")


@dataclass(frozen=True)
class Formula:
    """The parts of a survival formula.

    Parameters
    ----------
    response : tuple of str
        Arguments of ``Surv``, such as ``("time", "event")`` or ``("lower", "upper", 'type="interval"')``.
    terms : tuple of str
        Terms of the linear predictor without the intercept, as formulae spells them.
    group : str or None
        Column of the random intercept ``(1 | group)``.
    slopes : tuple of str
        Terms with random slopes, ``(1 + term | group)``.
    groupings : tuple of str
        Columns of further random intercepts, ``(1 | surgeon)``, after that of the group.
    variables : tuple of str
        Columns that the terms use.
    """

    response: tuple[str, ...]
    terms: tuple[str, ...]
    group: str | None
    slopes: tuple[str, ...]
    variables: tuple[str, ...]
    groupings: tuple[str, ...] = ()


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises
    ------
    SpecError
        When the text is not a survival formula that Sitewise can fit.
    """
    inside, right = _split(text)
    response = _response(inside)
    terms, groups, slopes = _read_right_side(right, text)
    return Formula(response, terms, groups[0] if groups else None, slopes, variables_of(terms), groups[1:])


def parse_shape(text: str) -> tuple[tuple[str, ...], str | None]:
    """Read the right side of a formula for the log of a family's shape: its terms, and the column of ``(1 | group)``.

    Raises
    ------
    SpecError
        When it cannot be read, is empty, or has random slopes.
    """
    if "~" in text:
        raise SpecError(f"The shape {text!r} is a right side only, without '~', such as \"ecog + (1 | site)\".")
    terms, groups, slopes = _read_right_side(text.strip(), text)
    group = groups[0] if groups else None
    if slopes:
        raise SpecError(f"The shape {text!r} has random slopes; it can differ by site as (1 | {group}) only.")
    if groups[1:]:
        raise SpecError(f"The shape {text!r} differs by {listed(groups)}; it can differ by one group, the site.")
    if not terms and group is None:
        raise SpecError(f'The shape {text!r} has no terms. Write terms such as "ecog", or leave shape out.')
    return terms, group


def _response(inside: str) -> tuple[str, ...]:
    names = [name.strip() for name in inside.split(",")]
    kind = _TYPE.match(names[-1])
    if kind:
        names.pop()
        if kind.group(1) not in ("interval", "right"):
            known = '"interval" or "right"'
            raise SpecError(f'Surv({inside}) has the type "{kind.group(1)}"; it can be {known}. {SHAPE_OF_A_FORMULA}')
    if len(names) not in (2, 3) or not all(names) or any("=" in name for name in names):
        raise SpecError(f"Surv({inside}) must have (time, event) or (entry, time, event). {SHAPE_OF_A_FORMULA}")
    return (*names, INTERVAL) if kind and kind.group(1) == "interval" else tuple(names)


def response_columns(response: tuple[str, ...]) -> dict[str, str]:
    """Return the columns of a response by role, as :meth:`Cohort.from_frame` names them: time and event, or lower and upper."""
    *columns, last = response
    first, second = ("lower", "upper") if last == INTERVAL else ("time", "event")
    if last != INTERVAL:
        columns.append(last)
    *entry, one, other = columns
    return {first: one, second: other} | ({"entry": entry[0]} if entry else {})


def _split(text: str) -> tuple[str, str]:
    if text.count("~") != 1:
        raise SpecError(f"The formula {text!r} needs one '~'. {SHAPE_OF_A_FORMULA}")
    left, right = text.split("~")
    surv = _SURV.match(left)
    if not surv:
        raise SpecError(f"The left side {left.strip()!r} must be Surv(...). {SHAPE_OF_A_FORMULA}")
    return surv.group(1), right.strip()


def _read_right_side(right: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    from formulae import model_description
    from formulae.terms.terms import Intercept

    if _bare_bar(right):
        raise SpecError(f"The site term in {text!r} needs brackets. {SHAPE_OF_A_FORMULA}")
    try:
        model = model_description(f"y ~ {right or '1'}")
    except Exception as error:  # formulae raises several kinds, some of them bare
        raise SpecError(f"The formula {text!r} cannot be read: {error} {SHAPE_OF_A_FORMULA}") from error
    groups = tuple(dict.fromkeys(str(term.factor.name) for term in model.group_terms))
    made = [name for name in groups if ":" in name]
    if made:
        raise SpecError(
            f"{listed(made)}: groups are columns. Make one column of such labels, as 'site 1, surgeon 2', and write "
            "(1 | column)."
        )
    sloping = [term for term in model.group_terms if not isinstance(term.expr, Intercept)]
    further = [str(term.factor.name) for term in sloping if term.factor.name != groups[0]]
    if further:
        raise SpecError(
            f"Random slopes are those of the site, the first group; {listed(dict.fromkeys(further))} can have an intercept "
            f"only: write (1 | {further[0]})."
        )
    slopes = tuple(_spelled(term.expr) for term in sloping)
    if slopes and len(slopes) == sum(term.factor.name == groups[0] for term in model.group_terms):
        raise SpecError(f"Random slopes need a random intercept beside them: write (1 + {' + '.join(slopes)} | {groups[0]}).")
    terms = tuple(_spelled(term) for term in model.common_terms if not isinstance(term, Intercept))
    offsets = [term for term in terms if term.startswith("offset(")]
    if offsets:
        raise SpecError(f"{offsets[0]}: offsets are not supported; with a known effect, give the term a narrow prior.")
    if not any(isinstance(term, Intercept) for term in model.terms):
        raise SpecError("A survival model has a baseline; remove '0' or '- 1' from the formula.")
    return terms, groups, slopes


def _bare_bar(right: str) -> bool:
    """Return whether a '|' stands outside brackets, where formulae drops it without a word."""
    depth = 0
    for character in right:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return True
    return False


def _spelled(term: Any) -> str:
    """Return a term as a formula spells it: column names that are no identifiers in backticks."""
    from formulae.terms.variable import Variable

    parts = [
        f"`{part.name}`" if isinstance(part, Variable) and not part.name.isidentifier() else str(part.name)
        for part in term.components
    ]
    return ":".join(parts)


def variables_of(terms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that terms use, in order of appearance.

    Raises
    ------
    SpecError
        When formulae cannot read them.
    """
    if not terms:
        return ()
    from formulae import model_description
    from formulae.terms.call import Call
    from formulae.terms.variable import Variable

    try:
        described = model_description("y ~ " + " + ".join(terms))
    except Exception as error:  # formulae raises several kinds
        raise SpecError(f"The terms {listed(terms)} cannot be read: {error}") from error
    found: list[str] = []
    for term in described.common_terms:
        for component in getattr(term, "components", ()):
            if isinstance(component, Variable):
                found.append(component.name)
            elif isinstance(component, Call):
                found += _call_variables(component.call)
    return tuple(dict.fromkeys(found))


def _call_variables(node: object) -> list[str]:
    """Return the names of the columns inside a function call such as ``scale(age)``."""
    from formulae.terms.call_resolver import LazyVariable

    if isinstance(node, LazyVariable):
        return [str(node.name)]
    children = [*getattr(node, "args", ()), *getattr(node, "kwargs", {}).values()]
    return [name for child in children for name in _call_variables(child)]

"""Which way hazard ratios point: against medians, against the levels called favourable, and before and after adjusting.

A hazard ratio above one is worse survival, so the shorter median. Medians of curves that cross need not follow, and estimates
whose interval holds one can point either way by chance, so that a contradiction is something to decide, not something that
cannot be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from sitewise.evidence.audit_curves import Limits
from sitewise.evidence.audit_findings import Finding, Severity
from sitewise.evidence.audit_groups import Key
from sitewise.evidence.audit_rows import Row, compared
from sitewise.evidence.entries import Model, Survival, Term
from sitewise.evidence.entries_of_counts import Curve
from sitewise.evidence.schema import Evidence

CHECK = "direction"


def check_direction(evidence: Evidence, rows: Sequence[Row], curves: Mapping[tuple[str, Key], Limits]) -> Iterator[Finding]:
    """Yield rows that point the other way than medians, favourable levels or the same row of another model."""
    for model in evidence.model:
        for term in model.term:
            if term.level:
                yield from _medians(model, term, curves)
                yield from _favourable(evidence, model, term)
    yield from _groups(evidence, curves)
    yield from _adjusted(evidence, rows)


def _items(*curves: Limits) -> list[Survival | Curve]:
    """Return the entries of curves, each once."""
    return list({bound.item.id: bound.item for own in curves for bound in own.low}.values())


def _severity(term: Term) -> Severity:
    """Return how much a contradiction is worth: of an interval that holds one it may be chance."""
    return "note" if term.lower <= 1 <= term.upper else "warning"


def _said(model: Model, term: Term) -> str:
    kind = ", adjusted" if model.adjusted else ""
    return f"{compared(term)}{kind}: hazard ratio {term.hazard_ratio:g}"


def _medians(model: Model, term: Term, curves: Mapping[tuple[str, Key], Limits]) -> Iterator[Finding]:
    keys: list[Key] = [frozenset({(term.covariate, frozenset(names))}) for names in (term.reference, term.level)]
    reference, level = (curves.get((model.endpoint, key)) for key in keys)
    if reference is None or level is None or term.hazard_ratio == 1:
        return
    worse, better = (level, reference) if term.hazard_ratio > 1 else (reference, level)
    if better.median().upper < worse.median().lower:
        items = _items(reference, level)
        sentence = (
            f"{_said(model, term)}, but the median {model.endpoint} of {' or '.join(term.level)} is "
            f"{'longer' if term.hazard_ratio > 1 else 'shorter'}. Check which level is the reference, and the medians."
        )
        places = "; ".join(dict.fromkeys([model.where, *(item.where for item in items)]))
        yield Finding(_severity(term), CHECK, sentence, places, (model.id, term.covariate, *(item.id for item in items)))


def _favourable(evidence: Evidence, model: Model, term: Term) -> Iterator[Finding]:
    good = next((set(item.favourable) for item in evidence.categorical if item.name == term.covariate), set())
    first, second = set(term.reference), set(term.level)
    if not good or (first <= good) == (second <= good) or (first & good and second & good):
        return
    expected = term.hazard_ratio < 1 if second <= good else term.hazard_ratio > 1
    if not expected and term.hazard_ratio != 1:
        sentence = (
            f"{_said(model, term)}, but {' and '.join(sorted(good))} is called favourable, so the hazard ratio should be "
            f"{'below' if second <= good else 'above'} 1. Check level and reference, and what is called favourable."
        )
        yield Finding(_severity(term), CHECK, sentence, model.where, (model.id, term.covariate))


def _groups(evidence: Evidence, curves: Mapping[tuple[str, Key], Limits]) -> Iterator[Finding]:
    """More favourable factors, longer median."""
    for endpoint in dict.fromkeys(endpoint for endpoint, _ in curves):
        found = sorted((key, own) for (name, key), own in curves.items() if name == endpoint and isinstance(key, int))
        for (fewer, short), (more, long) in itertools.pairwise(found):
            if long.median().upper < short.median().lower:
                items = _items(short, long)
                sentence = (
                    f"The median {endpoint} with {more} favourable factors is shorter than with {fewer}. Check the groups, "
                    "and whether the paper counts favourable or unfavourable factors."
                )
                place = "; ".join(dict.fromkeys(item.where for item in items))
                yield Finding("warning", CHECK, sentence, place, tuple(item.id for item in items))


def _adjusted(evidence: Evidence, rows: Sequence[Row]) -> Iterator[Finding]:
    """Compare the rows of adjusted models with rows of the same covariate that stand alone."""
    alone = [(model, term) for model in evidence.model if not model.adjusted for term in model.term]
    errors = {(id(row.model), id(row.term)): row.standard_error for row in rows}
    for model in evidence.model:
        for term in model.term if model.adjusted else ():
            others = [(m, t) for m, t in alone if t.covariate == term.covariate and m.endpoint == model.endpoint]
            same = [(m, t) for m, t in others if (t.level, t.reference) == (term.level, term.reference)]
            about = tuple(dict.fromkeys([model.id, *(m.id for m, _ in others), term.covariate]))
            place = "; ".join(dict.fromkeys([model.where, *(m.where for m, _ in others)]))
            if others and not same:
                sentence = (
                    f"{_said(model, term)}; alone, other levels are compared: {'; '.join(_said(m, t) for m, t in others)}. "
                    "Compare them only after turning them the same way round."
                )
                yield Finding("note", CHECK, sentence, place, about)
            for other, row in same:
                if (math.log(term.hazard_ratio) * math.log(row.hazard_ratio)) < 0:
                    both = _severity(term) == _severity(row) == "warning"
                    sentence = (
                        f"{_said(model, term)}; alone {row.hazard_ratio:g}: adjusting turns it round. Check that both have the "
                        "same reference."
                    )
                    yield Finding("warning" if both else "note", CHECK, sentence, place, about)
                one, two = errors.get((id(model), id(term))), errors.get((id(other), id(row)))
                if one is not None and two is not None and one.below(two.scaled(0.9)):
                    sentence = (
                        f"{_said(model, term)}: its interval is narrower than alone. Adjusting widens as a rule; look "
                        "whether both models have the same patients and the same kind of interval."
                    )
                    yield Finding("note", CHECK, sentence, place, about)

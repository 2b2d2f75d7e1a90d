"""`sitewise evidence`: the packaged summaries, or one of them with every number and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sitewise.evidence import Evidence
    from sitewise.evidence.entries import Survival, Term
    from sitewise.evidence.entries_of_counts import Curve, Events

Block = tuple[str, Sequence[str], list[Sequence[str]]]


def run_evidence(which: str | None) -> None:
    """List the packaged summaries, or check and show one."""
    from sitewise.evidence import PACKAGED, evidence_hash, load_evidence

    console = Console(highlight=False, markup=False, emoji=False)
    if which is None:
        rows: list[Sequence[str]] = []
        for name in PACKAGED:
            source = load_evidence(name).source
            rows.append((name, source.title, str(source.patients), str(source.sites), source.licence))
        _print(console, ("", ("id", "paper", "patients", "sites", "licence"), rows))
        console.print("Show one: sitewise evidence ID. Check another paper's: sitewise evidence FILE.toml", soft_wrap=True)
        return
    found = load_evidence(which)
    source = found.source
    console.print(f"{found.id}: {source.title}", soft_wrap=True)
    console.print(f"{source.authors}. {source.journal}, {source.year}. doi {source.doi}. {source.licence}.", soft_wrap=True)
    console.print(
        f"{source.patients} patients at {source.sites} sites. {source.population}. {source.treatment}.", soft_wrap=True
    )
    for block in _blocks(found):
        _print(console, block)
    console.print(f"\nEvery entry passed the checks. Content {evidence_hash(found)[:16]}.", soft_wrap=True)


def _print(console: Console, block: Block) -> None:
    title, head, rows = block
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title or None, title_justify="left", title_style="bold")
    for position, name in enumerate(head):
        table.add_column(name, overflow="fold", min_width=12 if position == 0 else None)
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)


def _blocks(found: Evidence) -> Iterator[Block]:
    head = ("characteristic", "published", "where")
    rows: list[Sequence[str]] = []
    for numeric in found.continuous:
        values = [
            f"{name} {getattr(numeric, name):g}" for name in ("median", "mean", "sd") if getattr(numeric, name) is not None
        ]
        values += [
            f"{name} {ends[0]:g} to {ends[1]:g}"
            for name in ("quartiles", "range")
            if (ends := getattr(numeric, name)) is not None
        ]
        rows.append((f"{numeric.label} ({numeric.unit})", ", ".join(values), numeric.where))
    for item in found.categorical:
        counts = ", ".join(f"{level}{'*' if level in item.favourable else ''} {count}" for level, count in item.levels.items())
        rows.append((item.label, counts, item.where))
    yield "Characteristics (* favourable)", head, rows
    rows = []
    for model in found.model:
        for term in model.term:
            kind = "adjusted" if model.adjusted else "alone"
            value = f"{term.hazard_ratio:g} ({term.lower:g} to {term.upper:g})"
            rows.append((_compared(term), f"{model.endpoint}, {kind}", value, _p(term.p, term.p_below), model.where))
    yield "Hazard ratios", ("level against reference", "model", f"hazard ratio ({_probs(found)})", "p", "where"), rows
    rows = [(_group(item, found), item.endpoint, _number(item, found), item.status, item.where) for item in found.survival]
    rows += [
        (f"{item.test}: {', '.join(item.between)}", "", f"p {_p(item.p, item.p_below)}", "", item.where)
        for item in found.comparison
    ]
    yield "Survival", ("group", "endpoint", "published", "use", "where"), rows
    unit = found.source.time_unit
    rows = []
    for follow in found.follow_up:
        ends = f", range {follow.range[0]:g} to {follow.range[1]:g}" if follow.range else ""
        read = f"{follow.definition}, read as {follow.reading}" if follow.reading else follow.definition
        rows.append((f"median {follow.median:g} {unit}{ends}", read, follow.where))
    yield "Follow-up", ("published", "definition", "where"), rows
    rows = [
        (_group(item, found), item.endpoint, f"{item.events}" + (f" of {item.patients}" if item.patients else ""), item.where)
        for item in found.events
    ]
    yield "Events", ("group", "endpoint", "published", "where"), rows
    rows = [
        (" and ".join(item.between), f"{level}: " + ", ".join(f"{other} {count}" for other, count in row.items()), item.where)
        for item in found.joint
        for level, row in item.counts.items()
    ]
    yield "Cross tables", ("characteristics", "published", "where"), rows
    rows = [
        (_group(item, found), item.endpoint, f"{len(item.times)} points, {len(item.at_risk)} numbers at risk", item.where)
        for item in found.curve
    ]
    yield "Digitised curves", ("group", "endpoint", "published", "where"), rows
    rows = []
    for entry in found.count:
        values = [str(entry.count)] if entry.count is not None else []
        values += [f"{entry.percent:g} % of {entry.of}"] if entry.percent is not None else []
        rows.append((entry.label, ", ".join(values), entry.part_of, entry.where))
    yield "Counts", ("what", "published", "part of", "where"), rows
    rows = [(item.sentence, item.readings[0]) for item in found.ambiguity]
    yield "Left open by the paper", ("what", "read as"), rows


def _compared(term: Term) -> str:
    if not term.level:
        return f"{term.covariate}, per unit"
    return f"{term.covariate}: {' or '.join(term.level)} against {' or '.join(term.reference)}"


def _probs(found: Evidence) -> str:
    return " / ".join(dict.fromkeys(f"{100 * model.prob:g} %" for model in found.model))


def _p(p: float | None, below: float | None) -> str:
    return f"{p:g}" if p is not None else f"<{below:g}" if below is not None else ""


def _group(item: Survival | Events | Curve, found: Evidence) -> str:
    if item.count_favourable is not None:
        return f"{item.count_favourable} of {sum(bool(entry.favourable) for entry in found.categorical)} favourable"
    return "; ".join(f"{name} {' or '.join(levels)}" for name, levels in item.group.items()) or "all"


def _number(item: Survival, found: Evidence) -> str:
    unit = found.source.time_unit
    limits = [f"{limit:g}" if isinstance(limit, float) else limit for limit in (item.lower, item.upper) if limit is not None]
    ends = f" ({' to '.join(limits)})" if len(limits) == 2 else ""
    if item.survival is not None:
        return f"S({item.time:g} {unit}) = {item.survival:g}{ends}"
    return f"median {item.median:g} {unit}{ends}" if isinstance(item.median, float) else f"median {item.median}"

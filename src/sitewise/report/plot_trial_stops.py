"""Pictures of how trials end: stopping probabilities by scenario and look, and type I errors against the nominal level."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sitewise.report.style import GREY, PALETTE, label_width, new_figure, plain
from sitewise.report.trial_values import Values, nominal
from sitewise.trial.assessment import Assessment
from sitewise.trial.campaign.worlds import NULL

GOOD, BAD, NEITHER, BROKEN = PALETTE[0], PALETTE[1], "#c9ccd0", PALETTE[6]
SETS = {
    "all": ("simulated trials", "o", PALETTE[0]),
    "calibration": ("trials that gave the thresholds", "s", PALETTE[4]),
    "validation": ("other trials (validation)", "o", PALETTE[0]),
}
LONGEST = 34


def paler(shade: str, part: float, /) -> tuple[float, float, float]:
    """Return a colour mixed with this part of white."""
    red, green, blue = (one + (1 - one) * part for one in to_rgb(shade))
    return red, green, blue


def shown(name: str, *, null: bool) -> str:
    """Return a scenario's name for a picture; a null one says so."""
    return plain(name, LONGEST) + (" (null)" if null and name != NULL else "")


def plot_stops(found: Assessment, /) -> Figure:
    """Return a bar for each scenario, split by look and way of ending; null scenarios stand apart, with the nominal level."""
    values, design = Values.of(found), found.design
    worlds = [*(world for world in found.results.worlds if not world.null), *(w for w in found.results.worlds if w.null)]
    plain_worlds = sum(not world.null for world in worlds)
    places = [place + (0.7 if place >= plain_worlds else 0.0) for place in range(len(worlds))]
    labels = [shown(world.name, null=world.null) for world in worlds]
    looks = [look.name for look in design.look]
    foot = 0.2 + 0.17 * math.ceil((2 * len(looks) + 1) / 3)
    figure = new_figure(6.0 + label_width(labels, least=1.4, size=10), 1.2 + 0.42 * (len(worlds) + 1) + foot)
    axes = figure.subplots()
    for place, world in zip(places, worlds, strict=True):
        left = 0.0
        for width, shade in _parts(values, world.name, looks):
            axes.barh(place, width, left=left, height=0.66, color=shade, edgecolor="white", lw=0.6)
            left += width
    alpha = nominal(found)
    if plain_worlds < len(worlds):
        axes.plot([alpha, alpha], [places[plain_worlds] - 0.45, places[-1] + 0.45], color=PALETTE[6], lw=1.3, ls="--")
        axes.annotate(
            f"nominal type I error {alpha:.3g}", (alpha, places[-1] + 0.45), (4, -2), textcoords="offset points", fontsize=8,
            va="top",
        )  # fmt: skip
    axes.set_yticks(places, labels)
    axes.set(xlim=(0, 1), ylim=(places[-1] + 1.0, -0.6), xlabel="Share of trials")
    axes.set_title("How trials end")
    figure.legend(handles=_handles(looks), loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, foot / figure.get_size_inches()[1], 1, 1))
    return figure


def _parts(values: Values, scenario: str, looks: list[str]) -> list[tuple[float, object]]:
    """Return widths and colours: successes first, futility last, so that both are read from an edge."""
    fades = np.linspace(0.0, 0.6, len(looks)) if len(looks) > 1 else [0.0]
    success = [
        (values(scenario, "success at look", look).value, paler(GOOD, fade)) for look, fade in zip(looks, fades, strict=True)
    ]
    futility = [
        (values(scenario, "futility at look", look).value, paler(BAD, fade)) for look, fade in zip(looks, fades, strict=True)
    ]
    failed = 1 - sum(values(scenario, name).value for name in ("success", "futility", "no decision"))
    return [*success, (values(scenario, "no decision").value, NEITHER), (max(failed, 0.0), BROKEN), *reversed(futility)]


def _handles(looks: list[str]) -> list[Patch]:
    fades = np.linspace(0.0, 0.6, len(looks)) if len(looks) > 1 else [0.0]
    names = [plain(look, 24) for look in looks]
    success = [Patch(color=paler(GOOD, fade), label=f"success: {name}") for name, fade in zip(names, fades, strict=True)]
    futility = [
        Patch(color=paler(BAD, fade), label=f"futility: {name}") for name, fade in zip(names[:-1], fades[:-1], strict=True)
    ]
    others = [Patch(color=NEITHER, label="no decision"), Patch(color=BROKEN, label="analysis failed")]
    return [*success, *futility, *others]


def plot_type_one(found: Assessment, /) -> Figure:
    """Return type I errors of null scenarios with exact 95 % limits, against the nominal level."""
    errors = found.thresholds.errors
    scenarios = list(dict.fromkeys(errors["scenario"]))
    labels = [plain(str(name), LONGEST) for name in scenarios]
    sets = [name for name in SETS if (errors["set"] == name).any()]
    figure = new_figure(5.2 + label_width(labels, least=1.4, size=10), 1.9 + 0.45 * len(scenarios) + 0.2 * len(sets))
    axes = figure.subplots()
    for number, name in enumerate(sets):
        told, mark, shade = SETS[name]
        own = errors[errors["set"] == name]
        y = np.array([scenarios.index(item) for item in own["scenario"]]) + 0.22 * (number - (len(sets) - 1) / 2)
        value = own["type_one_error"].to_numpy()
        reach = [value - own["lower"].to_numpy(), own["upper"].to_numpy() - value]
        axes.errorbar(value, y, xerr=np.abs(reach), fmt=mark, ms=6, lw=1.3, capsize=3, color=shade, label=told)
    alpha = nominal(found)
    axes.axvline(alpha, color=PALETTE[6], lw=1.2, ls="--")
    axes.text(
        alpha, 1.0, f" nominal {alpha:.3g}", transform=axes.get_xaxis_transform(), fontsize=9, ha="left", va="top"
    )  # fmt: skip
    axes.set_yticks(range(len(scenarios)), labels)
    axes.set(
        xlim=(0, 1.12 * max(alpha * 1.6, float(errors["upper"].max()))),
        ylim=(len(scenarios) - 0.5, -0.9),
        xlabel="Type I error, 95 % Monte Carlo limits",
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=GREY, alpha=0.2)
    axes.set_title("Type I error in the null scenarios")
    if len(sets) > 1:
        figure.legend(loc="lower center", fontsize=8, ncols=2)
    foot = 0.25 if len(sets) > 1 else 0.0
    figure.tight_layout(rect=(0, foot / figure.get_size_inches()[1], 1, 1))
    return figure

"""The page of the checks of a fit: what speaks up, pictures, tables, methods."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from sitewise.inference import FitResult
from sitewise.inference.result import installed_versions
from sitewise.report.page_first import NOT_FOR_PATIENTS
from sitewise.report.page_parts import Section, Table, embedded, percent_span, rows_of
from sitewise.studies.checking.result import Checks
from sitewise.studies.checking.sites_left_out import told_of_sites
from sitewise.studies.family_comparison import FamilyComparison
from sitewise.studies.leave_one_site_out import LeaveOneSiteOut
from sitewise.studies.small_subgroups import SmallSubgroups

FAMILIES = ("check_families", "check_family_groups")
"""Files without ``.csv`` of a comparison of families; the first is the name of its picture too."""
SITES = "check_left_out_sites"
"""The file of sites left out in turn, without its ending; its picture has the same name."""
ANSWERS = ("raw", "alone", "model", "together")
SUBGROUPS = ("check_subgroups", "check_subgroup_priors")
"""The same of small subgroups."""


def checks_page(
    found: Checks,
    fitted: FitResult,
    seed: int,
    files: Mapping[str, Path],
    families: FamilyComparison | None,
    subgroups: SmallSubgroups | None,
) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("sitewise.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = (resources.files("sitewise.report") / "templates" / "page.css").read_text(encoding="utf-8")
    cohort = fitted.cohort
    alarms = ["Synthetic data: these patients were simulated, they are not real."] if cohort.synthetic else []
    if fitted.verdict.level == "fail":
        alarms.append("The computation's verdict is fail: checks of such a fit mean nothing.")
    told = found.table["sentence"][found.table["found"]]
    return environment.get_template("study.html.j2").render(
        title="Is the model right?",
        alarm=" ".join(alarms),
        caution=NOT_FOR_PATIENTS,
        answers=[
            ("Finding", " ".join(f"{sentence}." for sentence in told) if len(told) else "No check speaks up."),
            (
                "Data",
                f"{len(cohort)} patients, {int(cohort.event.sum())} events; {fitted.spec.formula}, {fitted.spec.family.name}.",
            ),
            (
                "How",
                f"{found.replicates} cohorts were simulated from the fit, with the same patients, sites and follow-up"
                + (", and fitted in turn." if found.refitted else "; they were not fitted, so p-values are too large.")
                + " A check speaks up in one of twenty cohorts of a right model.",
            ),
        ],
        sections=[
            _summary(found),
            *_form(found, files),
            *([_families(families, files)] if families is not None else []),
            *([_subgroups(subgroups, files)] if subgroups is not None else []),
            *([_prediction(found, files)] if len(found.prediction) else []),
            *([_sites(found.left_out_sites, files)] if found.left_out_sites is not None else []),
            *([_priors(found, files)] if len(found.contraction) else []),
            _methods(found, fitted, seed),
        ],
        style=style,
        version=installed_versions().get("sitewise", ""),
    )


def _summary(found: Checks) -> Section:
    rows = [[str(row.check), "yes" if row.found else "no", f"{row.p_value:.3f}"] for row in rows_of(found.table)]
    sentences = [f"{str(row.check).capitalize()}: {row.sentence}." for row in rows_of(found.table)]
    return Section("checks", "Checks", [*sentences, *found.notes], [Table(["Check", "speaks up", "p"], rows)])


def _form(found: Checks, files: Mapping[str, Path]) -> list[Section]:
    sections = [
        Section(
            "curves",
            "Kaplan-Meier curves among simulated ones",
            ["Simulated patients are censored as the cohort's were, so that curves of both are of one kind."],
            [],
            [embedded(files["check_curves.svg"], "Kaplan-Meier curves of groups within bands of simulated ones")]
            + (
                [embedded(files["check_sites.svg"], "Kaplan-Meier curves of sites within bands of simulated ones")]
                if "check_sites.svg" in files
                else []
            ),
        ),
        Section(
            "form",
            "The hazard's form, sites, risk, effects over time",
            [
                "Left: events seen minus expected up to each time. Middle: the distribution of predicted probabilities of an "
                "event before each patient's time, minus the uniform one; patients who are censored count as censored there. "
                "Right: the same as Cox-Snell residuals, which lie on the diagonal.",
                "In the log-log picture a Weibull hazard is a straight line, and constant ratios keep lines parallel.",
            ],
            [],
            [
                embedded(files["check_hazard.svg"], "Events over time, PIT-ECDF and Cox-Snell residuals"),
                embedded(files["check_residuals.svg"], "Events minus expected by site and predicted risk; drift of effects"),
                embedded(files["check_log_log.svg"], "Log cumulative hazard of groups against log time"),
            ],
        ),
    ]
    return sections


def _families(families: FamilyComparison, files: Mapping[str, Path]) -> Section:
    rows = [
        [
            str(row.family),
            f"{row.elpd:.1f}",
            f"{row.difference:.1f} ({row.difference_se:.1f})",
            f"{row.weight:.2f}",
            str(row.verdict),
        ]
        for row in rows_of(families.table)
    ]
    head = ["Family", "log density of left-out patients", "difference to the best (se)", "stacking weight", "verdict"]
    sentences = [
        f"What if it is not {rows[0][0]}? {families.sentence.capitalize()}",
        "Each family predicts every patient from the others (PSIS-LOO). Stacking weights make the best mixture of predictions; "
        "answers under it are drawn in black.",
        *families.notes,
    ]
    picture = embedded(files[f"{FAMILIES[0]}.svg"], "Predictive densities of families, and medians of groups under each")
    return Section("families", "Other families", sentences, [Table(head, rows)], [picture])


def _subgroups(subgroups: SmallSubgroups, files: Mapping[str, Path]) -> Section:
    rows = [
        [
            str(row.group),
            f"{row.n}",
            f"{row.events:g}",
            *(percent_span(*(getattr(row, f"{name}{end}") for end in ("", "_lower", "_upper"))) for name in ANSWERS),
            f"{row.effective_information:.0f}",
        ]
        for row in rows_of(subgroups.table)
    ]
    head = ["Group", "n", "events", "raw", "group alone", "model", "everybody together", "information, in events"]
    sentences = [
        f"Survival at {subgroups.time:g} {subgroups.time_unit}: what each group says by itself, what the model says, and what "
        "one curve for everybody would say; how many events the model's answer is worth, its own ones and those it borrows.",
        *(str(sentence) for sentence in subgroups.table["sentence"]),
    ]
    picture = embedded(files[f"{SUBGROUPS[0]}.svg"], "Survival of groups by four answers, own and borrowed information")
    return Section("subgroups", "Small subgroups", sentences, [Table(head, rows)], [picture])


def _sites(sites: LeaveOneSiteOut, files: Mapping[str, Path]) -> Section:
    sentences = [
        told_of_sites(sites),
        f"Sum of the sites' log predictive densities {sites.elpd:.1f}, standard error over sites {sites.elpd_se:.1f}. A site "
        "that was not fitted has an effect drawn from the distribution of sites, the same for all its patients.",
    ]
    picture = embedded(files[f"{SITES}.svg"], "Log predictive density of each site given the others, and what moves without it")
    return Section("sites", "Would it hold at another hospital?", sentences, [], [picture])


def _prediction(found: Checks, files: Mapping[str, Path]) -> Section:
    table = found.prediction
    concordance = table[table["measure"] == "concordance"].iloc[0]
    loo = found.leave_one_out
    high = int((loo["psis_pareto_k"] > found.good_k).sum())
    sentences = [
        f"Concordance {concordance['median']:.2f} ({concordance['lower']:.2f} to {concordance['upper']:.2f}), apparent: of the "
        "patients that were fitted, at their own sites.",
        f"Leaving one patient out: expected log predictive density {loo['psis_elpd'].sum():.1f}; Pareto k above "
        f"{found.good_k:.2f} for {high} of {len(loo)} patients.",
    ]
    rows = [
        [str(row.measure).replace("_", " "), f"{row.time:g}", *(f"{value:.3f}" for value in (row.median, row.lower, row.upper))]
        for row in rows_of(table[table["measure"] != "concordance"])
    ]
    head = ["Measure", f"time ({found.time_unit})", "median", "lower", "upper"]
    note = "Limits of what was seen and of the score without covariates are Kaplan-Meier's, or none."
    picture = embedded(files["check_prediction.svg"], "Predicted and seen survival, Brier scores, Pareto k")
    return Section("prediction", "Prediction", sentences, [Table(head, rows, note)], [picture])


def _priors(found: Checks, files: Mapping[str, Path]) -> Section:
    rows = [
        [str(row.quantity), f"{row.prior:.3f}", f"{row.likelihood:.3f}", str(row.reading)] for row in rows_of(found.sensitivity)
    ]
    sentences = [
        "Contraction is the share of the prior's variance that the data have removed. Sensitivity says how far a posterior "
        "moves when the prior, or the likelihood, is raised to a power near one; above .05 it moves.",
    ]
    tables = [Table(["Quantity", "to the prior", "to the data", "what speaks"], rows)]
    if len(found.conflict):
        own = [
            [str(row.coefficient), str(row.prior), f"{row.estimate:.2f}", f"{row.error:.2f}", f"{row.p_value:.3f}"]
            for row in rows_of(found.conflict)
        ]
        head = ["Coefficient", "prior", "estimate of the data alone", "its error", "p"]
        tables.append(Table(head, own, "p: how surprising the estimate is under the prior."))
    if len(found.mixture):
        weights = [
            [str(row.coefficient), f"Normal({row.mean:.2f}, {row.sd:.2f})", *(f"{one:.2f}" for one in (row.before, row.now))]
            for row in rows_of(found.mixture.rename(columns={"prior_weight": "before", "posterior_weight": "now"}))
        ]
        note = "A component that has lost its weight is at odds with the patients."
        tables.append(Table(["Coefficient", "component of its prior", "weight before", "weight now"], weights, note))
    picture = embedded(files["check_priors.svg"], "Contraction, power-scaling sensitivity, survival under the prior")
    return Section("priors", "How much is the prior?", sentences, tables, [picture])


def _methods(found: Checks, fitted: FitResult, seed: int) -> Section:
    rows = [
        ["formula", fitted.spec.formula],
        ["family and metric", f"{fitted.spec.family.name}, {fitted.spec.metric}"],
        ["engine of the fit", fitted.engine],
        ["simulated cohorts", f"{found.replicates}, {'fitted' if found.refitted else 'not fitted'}"],
        ["seed of the checks", str(seed)],
        ["data hash", fitted.cohort.data_hash[:16]],
        *([name, version] for name, version in installed_versions().items()),
    ]
    sentences = [
        "All checks but the last two sum martingale residuals: over time, along each covariate and time, by predicted risk, "
        "by site. A patient's follow-up in a simulated cohort is their own or, after an event, drawn from the reverse "
        "Kaplan-Meier curve beyond it. Each simulated cohort is fitted like the real one, so that its residuals are as small "
        "as a fit makes them (Hjort, Dahl and Steinbakk 2006, J Am Stat Assoc 101:1157). Censoring: a Cox model of being "
        "censored on predicted risk. Prior: the data's own estimate against the prior's predictive of such estimates (Box "
        "1980).",
    ]
    return Section("methods", "Methods", sentences, [Table(["What", "value"], rows)])

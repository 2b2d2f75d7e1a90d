"""The section on progression and patterns of failure in the report of a calibration."""

from __future__ import annotations

from sitewise.report.calibration_results import NOTE_OF_PRIOR, CalibrationResults
from sitewise.report.page_parts import Section, Table, number, rows_of, span


def progression_section(results: CalibrationResults) -> Section | None:
    """Return what the page says about progression: how it fits, what is left out and why; None where nothing is said of it."""
    heading = "Progression and patterns of failure"
    if results.progression is None:
        why = results.without_progression
        return Section("progression", heading, [f"Left out: {why}."]) if why else None
    found = results.progression
    sentences = [
        "Progression is put beside survival, which stays as it is: it depends on death, is seen at visits only, and is "
        "recorded only while a patient lives and is followed. Progression-free survival ends with the first of recorded "
        "failure and death.",
        f"Assumed: {'; '.join(found.assumptions)}.",
    ]
    targets = [
        [
            str(row.target),
            str(row.printed),
            f"{number(row.reproduced)} (sd {number(row.sd)})",
            number(row.z, 1),
            str(row.status),
        ]
        for row in rows_of(found.targets())
    ]
    values = []
    for row in rows_of(found.parameters(prob=results.prob)):
        note = NOTE_OF_PRIOR if row.prior_driven else ""
        values.append([str(row.parameter), span(row.median, row.lower, row.upper), number(row.contraction), note])
    prob = f"{100 * results.prob:g} %"
    tables = [
        Table(["Number", "printed", "the process gives", "z", "use"], targets),
        Table(["Progression and failures", f"median ({prob})", "contraction", "note"], values, "All columns: progression.csv."),
    ]
    if left_out := [list(pair) for pair in results.left_out_of_progression]:
        tables.append(Table(["Left out", "why"], left_out))
    return Section("progression", heading, sentences, tables)

"""The command `design`: its flags and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitewise.cli.flags import Out, VaryName


def design(
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL",
            help="TRIAL.toml, or a worked trial: krog-single-arm, krog-confirmation, krog-randomised, krog-enriched.",
        ),
    ],
    out: Out,
    trials: Annotated[int | None, typer.Option("--trials", min=20, help="Trials of each scenario; default the file's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed; default the file's.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Threads; default one a core.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PLACE=VALUE", help="What if: arms.patients=150, look.final.when.events=90; repeatable."),
    ] = None,
    solve: Annotated[
        float | None, typer.Option("--solve", help="Find the smallest size with this probability of success.")
    ] = None,
    vary: Annotated[VaryName, typer.Option("--vary", help="With --solve: what is found.")] = VaryName.PATIENTS,
    most: Annotated[
        int | None, typer.Option("--most", min=2, help="With --solve: largest size tried; default 5 times.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", help="Folder for finished trials: an interrupted run, or one of more trials, goes on from there."
        ),
    ] = None,
) -> None:
    """Simulate a trial's design: probability of success, type I error, duration, and what would change them."""
    from sitewise.cli.design import Asked, run_design

    asked = Asked(trials, seed, workers, tuple(change or ()), solve, vary.value, most, keep)
    raise typer.Exit(run_design(trial, out, asked))

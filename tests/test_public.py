"""The public names: all there, all explained, and loaded only when used."""

import importlib
import inspect
import subprocess
import sys

import pytest

import sitewise

HEAVY = ("pymc", "pytensor", "nutpie", "numba", "matplotlib", "formulae", "pandas", "xarray", "scipy", "arviz_stats")
FUNCTIONS = [name for name in sitewise.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", sitewise.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(sitewise, name) is not None


def test_every_public_name_is_listed_once_and_by_dir():
    assert len(set(sitewise.__all__)) == len(sitewise.__all__)
    assert set(sitewise.__all__) <= set(dir(sitewise))


def test_the_names_of_the_readme_are_public():
    named = "Cohort ModelSpec Weibull Exponential Nuts fit load survival median_survival rmst RiskGroups Observed Average "
    named += "Marginal New contrast summarise hazard_ratios time_ratios write_all Analysis read_study "
    named += "load_evidence audit calibrate Assumptions fit_evidence write_evidence_fit classical_tables classical_plan "
    named += "load_scenario simulate simulate_many Truth"
    assert set(named.split()) <= set(sitewise.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'sitewise' has no attribute 'Chort'$"):
        sitewise.Chort  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_classes_and_their_methods_are_explained(name):
    value = getattr(sitewise, name)
    assert inspect.getdoc(value), name
    # A dataclass without a docstring is given its signature as one, which explains nothing.
    assert not (value.__doc__ or "").startswith(f"{name}("), name
    if inspect.isclass(value) and not issubclass(value, Exception):
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") and (callable(member) or isinstance(member, property | classmethod)):
                assert inspect.getdoc(getattr(value, attribute)), f"{name}.{attribute}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_most_two_arguments_by_position(name):
    value = getattr(sitewise, name)
    if inspect.isclass(value) or not inspect.isfunction(value):
        return
    positional = [
        parameter
        for parameter in inspect.signature(value).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    assert len(positional) <= 2, f"{name}{inspect.signature(value)}"


def test_every_public_name_lives_where_the_package_says():
    for name, module in sitewise._MODULE_OF.items():
        assert name in vars(importlib.import_module(module)), f"{name} is not in {module}"


def loaded_after(statement):
    """The heavy packages loaded by a fresh Python that runs ``statement``."""
    program = f"import sys\n{statement}\nprint(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_the_check_itself_sees_heavy_packages():
    assert "pandas" in loaded_after("import pandas")


def test_importing_is_quick():
    assert loaded_after("import sitewise") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["demo", "--help"]])
def test_help_is_quick(arguments):
    statement = "\n".join(
        [
            "import contextlib, io",
            "from sitewise.cli import main",
            f"sys.argv = ['sitewise', *{arguments!r}]",
            "with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):",
            "    main()",
            "assert 'sitewise' in shown.getvalue().lower()",
        ]
    )
    assert loaded_after(statement) == []


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert sitewise.__version__ == version("sitewise")

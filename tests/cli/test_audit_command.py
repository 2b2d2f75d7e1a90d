"""`sitewise audit`: findings by severity with their place, the implied numbers, the files, and the exit code."""

import re
from importlib import resources

import pandas as pd
import pytest

SOURCE = resources.files("sitewise.evidence") / "library" / "krog-20-04.toml"
TEXT = SOURCE.read_text(encoding="utf-8")
DEATHS = '\n[[events]]\nid = "deaths"\nevents = 42\nwhere = "Section 3.2"\nquote = ["42 patients died"]\n'


@pytest.fixture(scope="module")
def shown(sitewise):
    return sitewise("audit", "krog-20-04")


def written(folder, text, name="own.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_the_packaged_summary(shown):
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("krog-20-04: Stereotactic")
    assert "In all 0 errors, 1 warning, " in shown.out
    heads = re.findall(r"^(\d+) (error|warning|note)s?:", shown.out, re.MULTILINE)
    assert [severity for _, severity in heads] == ["warning", "note"]
    for words in (
        "first failures",
        "Section 3.3",
        "Table 3; Section 3.2",
        "Not published, but implied",
        "os events",
        "59",
        "81",
    ):
        assert words in shown.said


def test_nothing_is_cut_in_a_narrow_terminal(shown):
    assert "…" not in shown.out
    tables = shown.out.split("1 warning:", 1)[1].split("In all", 1)[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= 80
    bounds = shown.out.split("Not published, but implied", 1)[1]
    assert re.search(r"^os events +59 +81 +", bounds, re.MULTILINE)
    assert re.search(r"^os events by sex +55\.3 ", bounds, re.MULTILINE)


def test_files(sitewise, tmp_path):
    run = sitewise("audit", "krog-20-04", "--out", tmp_path / "new" / "audit.csv")
    assert run.code == 0
    assert run.said.endswith("(the implied numbers, with the standard errors).")
    table = pd.read_csv(tmp_path / "new" / "audit.csv")
    assert list(table.columns) == ["severity", "check", "sentence", "place", "about"]
    assert (table["severity"] == "warning").sum() == 1
    implied = pd.read_csv(tmp_path / "new" / "audit.implied.csv").set_index("quantity")
    assert implied.loc["os events", ["least", "most"]].tolist() == [59, 81]
    assert (implied["kind"] == "standard error").sum() == 14


def test_something_that_cannot_be(sitewise, tmp_path):
    run = sitewise("audit", written(tmp_path, TEXT + DEATHS))
    assert run.code == 1
    assert "1 error: cannot be" in run.out
    assert run.said.index("42 os events are printed") < run.said.index("first failures")


def test_a_refused_file(sitewise, tmp_path):
    """Every problem is an error finding, in the table and in the file."""
    text = TEXT.replace("male = 82", "male = 81", 1).replace("hazard_ratio = 1.84", "hazard_ratio = 0.1", 1)
    run = sitewise("audit", written(tmp_path, text, "broken.toml"), "--out", tmp_path / "audit.csv")
    assert run.code == 2
    assert "broken.toml is refused" in run.out
    for words in ("2 errors: cannot be", "add up to 99", "0.1 is outside its interval"):
        assert words in run.said
    assert pd.read_csv(tmp_path / "audit.csv")["severity"].tolist() == ["error", "error"]
    assert not (tmp_path / "audit.implied.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["krog-20-4"], "There is no packaged summary 'krog-20-4'. Did you mean 'krog-20-04'?"),
        (["none.toml"], "There is no file none.toml."),
        (["krog-20-04", "--out", "audit.txt"], "--out audit.txt must end in .csv."),
    ],
)
def test_what_cannot_be_read(arguments, message, sitewise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = sitewise("audit", *arguments)
    assert run.code == 2
    assert run.error.startswith(f"Error: {message}")
    assert list(tmp_path.iterdir()) == []


def test_help(sitewise):
    run = sitewise("audit", "--help")
    assert run.code == 0
    assert "EVIDENCE" in run.said

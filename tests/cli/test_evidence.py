"""`sitewise evidence`: the list, a summary with every number and where it stands, and what is wrong with a file."""

import re
from importlib import resources

import pytest

import sitewise as sw
from sitewise.evidence import PACKAGED

SOURCE = resources.files("sitewise.evidence") / "library" / "krog-20-04.toml"


@pytest.fixture(scope="module")
def shown(sitewise):
    return sitewise("evidence", "krog-20-04")


def test_the_list(sitewise):
    run = sitewise("evidence")
    assert run.code == 0
    for name in PACKAGED:
        assert name in run.out
    for words in ("KROG 20-04", "patients", "sites", "CC BY 4.0", "100", "sitewise evidence ID", "FILE.toml"):
        assert words in run.said


def test_the_paper_is_named(shown):
    assert shown.code == 0
    head = shown.out.splitlines()[:3]
    assert head[0].startswith("krog-20-04: Stereotactic Ablative Radiotherapy")
    assert "10.3390/cancers14235848" in head[1]
    assert "CC BY 4.0" in head[1]
    assert head[2].startswith("100 patients at 5 sites.")


@pytest.mark.parametrize(
    "title", ["Characteristics", "Hazard ratios", "Survival", "Follow-up", "Counts", "Left open by the paper"]
)
def test_every_kind_of_number_has_a_table(title, shown):
    assert [line for line in shown.out.splitlines() if line.startswith(title)]


@pytest.fixture
def wide(monkeypatch):
    """A terminal in which no cell is broken into lines."""
    import rich.console

    plain = rich.console.Console

    monkeypatch.setattr("sitewise.cli.evidence.Console", lambda **options: plain(**{**options, "width": 300}))


@pytest.mark.usefixtures("wide")
def test_every_number_with_where_it_stands(sitewise):
    """Of Table 3 and the text on survival: as published, to the digits printed."""
    lines = [re.sub(r"\s{2,}", "|", line.strip()) for line in sitewise("evidence", "krog-20-04").out.splitlines()]
    for wanted in (
        "Age (years)|median 62, range 40 to 83|Table 1; section 3.1",
        "Child-Pugh class|A* 83, B 17|Table 1; section 3.2",
        "ecog: 1 or 2 against 0|os, adjusted|1.84 (1.028 to 3.295)|0.04|Table 3; section 3.2",
        "child_pugh: B against A|os, alone|3.344 (1.767 to 6.327)|<0.001|Table 3",
        "2 of 2 favourable|os|median 46 months|fit|Section 3.2; Abstract",
        "all|os|S(24 months) = 0.4|fit|Section 3.2; Abstract",
        "metastatic_site lung|os|median not reached|soft|Section 3.2",
        "median 13 months, range 2 to 92|unstated, read as observed|Section 3.2; Abstract",
    ):
        assert wanted in lines, wanted


@pytest.mark.usefixtures("wide")
def test_no_entry_is_left_out(sitewise):
    found = sw.load_evidence("krog-20-04")
    lines = sitewise("evidence", "krog-20-04").out.splitlines()
    for item in (*found.categorical, *found.continuous, *found.count):
        assert [line for line in lines if line.startswith(item.label)], item.label
    ratios = sum(len(model.term) for model in found.model)
    start = lines.index(next(line for line in lines if line.startswith("Hazard ratios")))
    assert lines[start + 2 : start + 2 + ratios + 1][-1].strip() == ""
    for item in found.ambiguity:
        assert [line for line in lines if line.startswith(item.sentence)]
    assert lines[-1].startswith("Every entry passed the checks.")


def test_nothing_is_cut_in_a_narrow_terminal(shown):
    assert "…" not in shown.out
    assert max(len(line) for line in shown.out.split("Characteristics", 1)[1].splitlines()) <= 80


def test_a_file_of_ones_own(sitewise, shown, tmp_path):
    (tmp_path / "own.toml").write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    run = sitewise("evidence", tmp_path / "own.toml")
    assert (run.code, run.out) == (0, shown.out)


def test_the_content_decides_the_hash(sitewise, shown, tmp_path):
    text = SOURCE.read_text(encoding="utf-8").replace('authors = "Kim TH', 'authors = "Kym TH')
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    last = sitewise("evidence", tmp_path / "own.toml").out.splitlines()[-1]
    assert last.startswith("Every entry passed the checks. Content ")
    assert last != shown.out.splitlines()[-1]


def test_a_broken_file_shows_every_problem(sitewise, tmp_path):
    """A wrong sum, a ratio outside its interval, an unknown key and a wrong type, in four places."""
    text = SOURCE.read_text(encoding="utf-8")
    changes = {
        "male = 82": "male = 81",
        "hazard_ratio = 1.84": "hazard_ratio = 0.1",
        'label = "Child-Pugh class"': 'lable = "Child-Pugh class"',
        "median = 62": 'median = "62"',
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
    run = sitewise("evidence", tmp_path / "broken.toml")
    assert run.code == 2
    assert run.out == ""
    head, *lines = run.error.splitlines()
    assert re.match(r"Error: broken\.toml has \d+ problems:", head)
    assert int(re.search(r"\d+", head)[0]) == len(lines) >= 4
    for words in (
        "categorical (sex)",
        "add up to 99",
        "0.1 is outside its interval",
        "lable",
        "Did you mean 'label'?",
        "(age)",
    ):
        assert words in run.error, words
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("krog-20-4", "There is no packaged summary 'krog-20-4'. Did you mean 'krog-20-04'?"),
        ("other", "There is no packaged summary 'other'. Known: 'krog-20-04'."),
        ("none.toml", "There is no file none.toml."),
    ],
)
def test_no_such_summary(which, message, sitewise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = sitewise("evidence", which)
    assert run.code == 2
    assert run.error.startswith(f"Error: {message}")


def test_a_file_that_is_no_toml(sitewise, tmp_path):
    (tmp_path / "x.toml").write_text("[source\n")
    run = sitewise("evidence", tmp_path / "x.toml")
    assert run.code == 2
    assert run.error.startswith("Error: x.toml is not valid TOML")


def test_help(sitewise):
    run = sitewise("evidence", "--help")
    assert run.code == 0
    assert "krog-20-04" in run.said

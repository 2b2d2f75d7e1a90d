"""The packaged summary of KROG 20-04 against the paper, number by number.

The rows were written from the paper, not from the file. A row says where its numbers stand, quotes the words that hold them,
and names the place of each in the summary. The numbers of a row are the last ones of its quote, in order, so that no expected
number can be made up and none can be read off its neighbour.
"""

import re
from itertools import batched

import pytest

import sitewise as sw

LONGEST_QUOTE = 20

# What a quote says without digits, or in another unit than the summary.
SAID = {
    "No patients": 0,
    "no factor": 0,
    "no risk factor": 0,
    "one factor": 1,
    "One patient": 1,
    "both factors": 2,
    "five institutions": 5,
    "eight patients": 8,
    "nine patients": 9,
    "2-year": 24,  # months
    "not reached": "not reached",
}
NUMBER = re.compile("|".join([*map(re.escape, SAID), r"\d+(?:\.\d+)?%?"]), re.IGNORECASE)
MEANING = {words.lower(): value for words, value in SAID.items()}

TABLE_1 = [
    ("Patient characteristics (n = 100", {"source/patients": 100}),
    (
        "Age (in years) Median 62 Range 40–83",
        {"continuous/age/median": 62, "continuous/age/range/1": 40, "continuous/age/range/2": 83},
    ),
    ("Sex Male 82 Female 18", {"categorical/sex/levels/male": 82, "categorical/sex/levels/female": 18}),
    ("Performance status ECOG0 47", {"categorical/ecog/levels/0": 47}),
    ("ECOG1 50", {"categorical/ecog/levels/1": 50}),
    ("ECOG2 3", {"categorical/ecog/levels/2": 3}),
    (
        "Etiology HBV 66 HCV 11 NBNC 23",
        {
            "categorical/etiology/levels/HBV": 66,
            "categorical/etiology/levels/HCV": 11,
            "categorical/etiology/levels/NBNC": 23,
        },
    ),
    ("Child–Pugh class A 83 B 17", {"categorical/child_pugh/levels/A": 83, "categorical/child_pugh/levels/B": 17}),
    ("Child–Pugh score CPS 5 73", {"categorical/child_pugh_score/levels/5": 73}),
    ("CPS 6 10", {"categorical/child_pugh_score/levels/6": 10}),
    ("CPS 7 17", {"categorical/child_pugh_score/levels/7": 17}),
    (
        "Primary HCC Controlled 58 Uncontrolled 42",
        {"categorical/primary/levels/controlled": 58, "categorical/primary/levels/uncontrolled": 42},
    ),
]

TABLE_2 = [
    (
        "Time interval Synchronous oligometastasis 17 Metachronous oligometastasis 83",
        {"categorical/interval/levels/synchronous": 17, "categorical/interval/levels/metachronous": 83},
    ),
    ("Number of metastasis 1 lesion 85", {"categorical/metastases/levels/1": 85}),
    ("2 lesions 9", {"categorical/metastases/levels/2": 9}),
    ("3 lesions 6", {"categorical/metastases/levels/3": 6}),
    (
        "Bone 40 Lung 38 Abdominal lymph node 11 Adrenal gland 5 Others 5 Combined lung & bone 1",
        {
            "categorical/metastatic_site/levels/bone": 40,
            "categorical/metastatic_site/levels/lung": 38,
            "categorical/metastatic_site/levels/abdominal lymph node": 11,
            "categorical/metastatic_site/levels/adrenal gland": 5,
            "categorical/metastatic_site/levels/others": 5,
            "categorical/metastatic_site/levels/lung and bone": 1,
        },
    ),
    (
        "Systemic therapy No 29 Tyrosine kinase inhibitor 59 Chemotherapy 12",
        {
            "categorical/systemic_therapy/levels/none": 29,
            "categorical/systemic_therapy/levels/tyrosine kinase inhibitor": 59,
            "categorical/systemic_therapy/levels/chemotherapy": 12,
        },
    ),
    (
        "Timing of systemic therapy Pre-SABR 27 During-SABR 12 Post-SABR 32",
        {
            "categorical/systemic_timing/levels/before": 27,
            "categorical/systemic_timing/levels/during": 12,
            "categorical/systemic_timing/levels/after": 32,
        },
    ),
]

# Name of the term in the summary (level against reference), the row as it is printed, and its numbers: hazard ratio, limits
# and p value, univariate and then, where the row has them, multivariate. Of "A vs. B" A is the reference: the discussion calls
# synchronous metastases and an uncontrolled primary the worse, which fits 0.525 and 1.957 in no other way.
TABLE_3 = [
    ("age", "Age (Continuous, year) 1.012 0.989–1.035 0.306", (1.012, 0.989, 1.035, 0.306)),
    ("sex: male vs female", "Sex (Female vs. Male) 0.832 0.419–1.653 0.600", (0.832, 0.419, 1.653, 0.600)),
    (
        "ecog: 1 or 2 vs 0",
        "Performance (ECOG0 vs. ECOG1&2) 2.375 1.375–4.103 0.002 1.840 1.028–3.295 0.040",
        (2.375, 1.375, 4.103, 0.002, 1.840, 1.028, 3.295, 0.040),
    ),
    (
        "child_pugh: B vs A",
        "Child-Pugh class (A vs. B) 3.344 1.767–6.327 <0.001 2.277 1.153–4.495 0.018",
        (3.344, 1.767, 6.327, "<0.001", 2.277, 1.153, 4.495, 0.018),
    ),
    ("etiology: HCV vs HBV", "Etiology (HBV vs. HCV) 1.326 0.612–2.872 0.475", (1.326, 0.612, 2.872, 0.475)),
    (
        "primary: uncontrolled vs controlled",
        "Primary HCC (Controlled vs. Uncontrolled) 1.957 1.171–3.268 0.010 1.437 0.831–2.484 0.195",
        (1.957, 1.171, 3.268, 0.010, 1.437, 0.831, 2.484, 0.195),
    ),
    (
        "interval: metachronous vs synchronous",
        "Time interval (Syn vs. Metachronous) 0.525 0.287–0.962 0.037 0.761 0.405–1.430 0.396",
        (0.525, 0.287, 0.962, 0.037, 0.761, 0.405, 1.430, 0.396),
    ),
    (
        "metastases: 2 or 3 vs 1",
        "Number of metastases (1 vs. 2&3) 1.220 0.632–2.357 0.553",
        (1.220, 0.632, 2.357, 0.553),
    ),
    (
        "systemic_therapy: tyrosine kinase inhibitor vs none",
        "Systemic therapy (No vs. TKI) 1.285 0.715–2.310 0.401",
        (1.285, 0.715, 2.310, 0.401),
    ),
    (
        "systemic_therapy: chemotherapy vs none",
        "Systemic therapy (No vs. chemotherapy) 1.289 0.533–3.114 0.573",
        (1.289, 0.533, 3.114, 0.573),
    ),
]

ABSTRACT = [
    (
        "A total of 100 patients with 121 metastatic lesions were reviewed",
        {"source/patients": 100, "count/lesions/count": 121},
    ),
    (
        "The most common site of metastasis was the bones (40%), followed by the lungs (38%",
        {"categorical/metastatic_site/levels/bone": 40, "categorical/metastatic_site/levels/lung": 38},
    ),
    ("Systemic therapy was administered to 71% of patients", {"count/systemic_therapy_any/percent": 71}),
    (
        "With a median follow-up of 13 months, the median overall survival (OS) was 16 months",
        {"follow_up/1/median": 13, "survival/os-median/median": 16},
    ),
    ("The 2-year OS rate was 40%", {"survival/os-24/time": 24, "survival/os-24/survival": 0.40}),
    (
        "46 months in patients with both factors",
        {"survival/os-median-group-1/median": 46, "survival/os-median-group-1/count_favourable": 2},
    ),
    (
        "13 months with one factor",
        {"survival/os-median-group-2/median": 13, "survival/os-median-group-2/count_favourable": 1},
    ),
    # The abstract calls it "no risk factor", which the text contradicts; the number of favourable factors is zero.
    (
        "6 months with no risk factor",
        {"survival/os-median-group-3/median": 6, "survival/os-median-group-3/count_favourable": 0},
    ),
    ("with no risk factor (Group 3) (p < 0.001", {"comparison/groups/p_below": 0.001}),
    ("Nine patients experienced grade", {"count/pneumonitis/count": 9}),
]

SECTION_2_1 = [("This study included five institutions belonging to and endorsed by the KROG", {"source/sites": 5})]

SECTION_3_1 = [
    (
        "The median age of the patients was 62 years (range, 40–83 years",
        {"continuous/age/median": 62, "continuous/age/range/1": 40, "continuous/age/range/2": 83},
    ),
    (
        "Most of the patients (83%) were Child–Pugh class A, and 58% of the patients had controlled primary HCC",
        {"categorical/child_pugh/levels/A": 83, "categorical/primary/levels/controlled": 58},
    ),
    (
        "17 patients were diagnosed with synchronous oligometastasis, while 83 patients were diagnosed with metachronous",
        {"categorical/interval/levels/synchronous": 17, "categorical/interval/levels/metachronous": 83},
    ),
    (
        "85%, 9%, and 6% of patients had one, two, and three metastatic lesions, respectively",
        {
            "categorical/metastases/levels/1": 85,
            "categorical/metastases/levels/2": 9,
            "categorical/metastases/levels/3": 6,
        },
    ),
    (
        "the bone (40%), followed by the lungs (38%), abdominal lymph nodes (LNs) (11%), adrenal glands (5%), and others (5%",
        {
            "categorical/metastatic_site/levels/bone": 40,
            "categorical/metastatic_site/levels/lung": 38,
            "categorical/metastatic_site/levels/abdominal lymph node": 11,
            "categorical/metastatic_site/levels/adrenal gland": 5,
            "categorical/metastatic_site/levels/others": 5,
        },
    ),
    ("Systemic therapy was administered to 71% of patients", {"count/systemic_therapy_any/percent": 71}),
    (
        "Most patients were treated with tyrosine kinase inhibitors (59%) and systemic chemotherapy (12%",
        {
            "categorical/systemic_therapy/levels/tyrosine kinase inhibitor": 59,
            "categorical/systemic_therapy/levels/chemotherapy": 12,
        },
    ),
    (
        "A total of 12 patients received systemic therapy during SABR, and 32",
        {"categorical/systemic_timing/levels/during": 12, "categorical/systemic_timing/levels/after": 32},
    ),
    (
        "32 (45%) patients received systemic therapy after SABR",
        {"count/systemic_therapy_after/count": 32, "count/systemic_therapy_after/percent": 45},
    ),
    ("In patients with oligometastatic bone lesions (n = 55", {"count/bone_lesions/count": 55}),
    (
        "the most common metastatic site was the L spine (33%), followed by the T spine (27%) and pelvic bone (18%",
        {
            "count/bone_lesions_lumbar/percent": 33,
            "count/bone_lesions_thoracic/percent": 27,
            "count/bone_lesions_pelvic/percent": 18,
        },
    ),
    ("In patients with oligometastatic lung lesions (n = 42", {"count/lung_lesions/count": 42}),
    (
        "left and right lower lobes (29% and 29%), followed by the left upper lobe (19%) and right upper lobe (14%",
        {
            "count/lung_lesions_left_lower/percent": 29,
            "count/lung_lesions_right_lower/percent": 29,
            "count/lung_lesions_left_upper/percent": 19,
            "count/lung_lesions_right_upper/percent": 14,
        },
    ),
]

SECTION_3_2 = [
    (
        "With a median follow-up of 13 months (range, 2–92 months), the median PFS and OS were 4 and 16 months",
        {
            "follow_up/1/median": 13,
            "follow_up/1/range/1": 2,
            "follow_up/1/range/2": 92,
            "survival/pfs-median/median": 4,
            "survival/os-median/median": 16,
        },
    ),
    ("The 2-year OS rate was 40%", {"survival/os-24/time": 24, "survival/os-24/survival": 0.40}),
    (
        "was not reached in the lung and 46 and 22 months in the adrenal gland and abdominal LN, respectively",
        {
            "survival/os-median-lung/median": "not reached",
            "survival/os-median-adrenal/median": 46,
            "survival/os-median-lymph-node/median": 22,
        },
    ),
    (
        "In multivariate analysis, performance status (p = 0.040) and Child–Pugh class (p = 0.018",
        {
            "model/multivariate/term/ecog: 1 or 2 vs 0/p": 0.040,
            "model/multivariate/term/child_pugh: B vs A/p": 0.018,
        },
    ),
    (
        "46 months in patients with both factors",
        {"survival/os-median-group-1/median": 46, "survival/os-median-group-1/count_favourable": 2},
    ),
    (
        "13 months with one factor",
        {"survival/os-median-group-2/median": 13, "survival/os-median-group-2/count_favourable": 1},
    ),
    ("6 months with no factor", {"survival/os-median-group-3/median": 6, "survival/os-median-group-3/count_favourable": 0}),
    ("6 months with no factor (Group 3) (p < 0.001", {"comparison/groups/p_below": 0.001}),
]

SECTION_3_3 = [
    ("A total of 84 patients experienced treatment failure", {"count/failure/count": 84}),
    (
        "The most common pattern was distant failure (n = 69, 82%",
        {"count/distant_failure/count": 69, "count/distant_failure/percent": 82},
    ),
    (
        "The sites of distant failure were the liver (n = 40), contralateral lung (n = 11), bone (n = 10",
        {"count/distant_liver/count": 40, "count/distant_lung/count": 11, "count/distant_bone/count": 10},
    ),
    (
        "abdominal LN (n = 6), brain (n = 1), and rectus abdominis muscle (n = 1",
        {"count/distant_lymph_node/count": 6, "count/distant_brain/count": 1, "count/distant_muscle/count": 1},
    ),
    (
        "failure at the liver (n = 40) received salvage treatment consisting of liver-directed therapy "
        "(trans-arterial chemoembolization, n = 16",
        {"count/distant_liver/count": 40, "count/salvage_liver_directed/count": 16},
    ),
    (
        "n = 16), systemic therapy (n = 11), RT (n = 6), and best supportive care (n = 7",
        {
            "count/salvage_liver_directed/count": 16,
            "count/salvage_liver_systemic/count": 11,
            "count/salvage_liver_radiotherapy/count": 6,
            "count/salvage_liver_supportive/count": 7,
        },
    ),
    ("failure at the lungs (n = 11", {"count/distant_lung/count": 11}),
    (
        "(n = 11) received salvage treatment consisting of systemic therapy (n = 7), RT (n = 3), and surgery",
        {
            "count/distant_lung/count": 11,
            "count/salvage_lung_systemic/count": 7,
            "count/salvage_lung_radiotherapy/count": 3,
        },
    ),
    ("systemic therapy (n = 7), RT (n = 3), and surgery (n = 1", {"count/salvage_lung_surgery/count": 1}),
    (
        "failure at the bones (n = 10) received salvage treatment consisting of RT (n = 7",
        {"count/distant_bone/count": 10, "count/salvage_bone_radiotherapy/count": 7},
    ),
    ("consisting of RT (n = 7) and systemic therapy (n = 3", {"count/salvage_bone_systemic/count": 3}),
    (
        "failure at the abdominal LN (n = 6) received salvage treatment consisting of RT (n = 3",
        {"count/distant_lymph_node/count": 6, "count/salvage_lymph_node_radiotherapy/count": 3},
    ),
    (
        "consisting of RT (n = 3), systemic therapy (n = 2), and best supportive care (n = 1",
        {"count/salvage_lymph_node_systemic/count": 2, "count/salvage_lymph_node_supportive/count": 1},
    ),
    ("16% of patients experienced local failure", {"count/local_failure/percent": 16}),
    (
        "local failure in the bone (n = 9), lung (n = 6), and lymph nodes (n = 1",
        {"count/local_bone/count": 9, "count/local_lung/count": 6, "count/local_lymph_node/count": 1},
    ),
    (
        "metastatic bone lesions received salvage treatment with re-irradiation (n = 5), systemic therapy (n = 2",
        {"count/salvage_local_bone_irradiation/count": 5, "count/salvage_local_bone_systemic/count": 2},
    ),
    (
        "systemic therapy (n = 2), surgery (n = 1), and best supportive care (n = 1",
        {"count/salvage_local_bone_surgery/count": 1, "count/salvage_local_bone_supportive/count": 1},
    ),
    (
        "metastatic lung lesions received salvage treatment with re-irradiation (n = 3), systemic therapy (n = 2",
        {"count/salvage_local_lung_irradiation/count": 3, "count/salvage_local_lung_systemic/count": 2},
    ),
    (
        "re-irradiation (n = 3), systemic therapy (n = 2), and best supportive care (n = 1",
        {"count/salvage_local_lung_supportive/count": 1},
    ),
    (
        "One patient who experienced local failure after SABR to the abdominal LN received systemic therapy",
        {"count/salvage_local_lymph_node_systemic/count": 1},
    ),
    (
        "No patients experienced acute treatment-related toxicities, while nine patients experienced",
        {"count/acute_toxicity/count": 0, "count/pneumonitis/count": 9},
    ),
    (
        "Among them, eight patients received SABR for lung lesions, and one patient received SABR for peritoneal seeding",
        {"count/pneumonitis_lung/count": 8, "count/pneumonitis_peritoneal/count": 1},
    ),
    ("One patient underwent SABR for two lung lesions", {"count/pneumonitis_two_lesions/count": 1}),
    ("A group of 5 patients received SABR", {"count/pneumonitis_60_gy/count": 5}),
]

SECTION_4 = [
    (
        "The median OS for all patients was 16 months, with a 2-year OS rate of 40%",
        {"survival/os-median/median": 16, "survival/os-24/time": 24, "survival/os-24/survival": 0.40},
    ),
    (
        "46 months, compared with 13 and 6 months, respectively",
        {
            "survival/os-median-group-1/median": 46,
            "survival/os-median-group-2/median": 13,
            "survival/os-median-group-3/median": 6,
        },
    ),
    (
        "No patients experienced acute treatment-related toxicities, while nine patients experienced",
        {"count/acute_toxicity/count": 0, "count/pneumonitis/count": 9},
    ),
]

# Numbers that the paper does not print, but the sum of which it does.
SUMS = [
    ("Table 2", "Pre-SABR 27 During-SABR 12 Post-SABR 32", "categorical/systemic_timing/total", 27 + 12 + 32),
    ("Table 2", "Tyrosine kinase inhibitor 59 Chemotherapy 12", "count/systemic_therapy_any/count", 59 + 12),
]

# Numbers that the summary holds in words: place in the paper, quote, attribute, and the words of the summary.
IN_WORDS = [
    ("Citation", "Cancers 2022, 14, 5848", "source/journal", "14:5848"),
    ("Citation", "https://doi.org/10.3390/cancers14235848", "source/doi", "10.3390/cancers14235848"),
    ("Abstract", "definitive treatment for HCC with 1–5 metastatic lesions", "source/population", "1 to 5 metastatic lesions"),
    ("Table 1", "ECOG0 47 ECOG1 50 ECOG2 3", "source/population", "ECOG 0 to 2"),
    ("Section 2.1", "treated with SABR with a fraction dose ≥ 6 Gy", "source/treatment", "at least 6 Gy"),
    ("Section 2.1", "for HCC between January 2000 and December 2019", "source/period", "2000 to 2019"),
    ("Section 3.3", "nine patients experienced grade 1 radiation pneumonitis", "count/pneumonitis/label", "grade 1"),
    (
        "Section 3.3",
        "received SABR at a dose of 60 Gy in four fractions",
        "count/pneumonitis_60_gy/label",
        "60 Gy in four fractions",
    ),
]

# Leaves that are no published numbers: how they are printed or read, and the paper's own date.
NOT_PUBLISHED = {"schema_version", "year", "digits", "p_digits", "prob"}


def table_3():
    """Return the rows of Table 3 in the form of the other tables: every number with its place."""
    for term, quote, numbers in TABLE_3:
        models = ["univariate-" + term.split(":")[0], "multivariate"][: len(numbers) // 4]
        places = {}
        for model, values in zip(models, batched(numbers, 4), strict=True):
            for name, value in zip(("hazard_ratio", "lower", "upper", "p"), values, strict=True):
                below = isinstance(value, str)
                name, value = ("p_below", float(value.removeprefix("<"))) if below else (name, value)
                places[f"model/{model}/term/{term}/{name}"] = value
        yield quote, places


ROWS = [
    (place, quote, places)
    for place, rows in {
        "Abstract": ABSTRACT,
        "Section 2.1": SECTION_2_1,
        "Table 1": TABLE_1,
        "Section 3.1": SECTION_3_1,
        "Table 2": TABLE_2,
        "Section 3.2": SECTION_3_2,
        "Table 3": table_3(),
        "Section 3.3": SECTION_3_3,
        "Section 4": SECTION_4,
    }.items()
    for quote, places in rows
]


def numbers_said(text):
    """Return the numbers of a quote in order, each as the set of values that it may stand for."""
    found = []
    for match in NUMBER.finditer(text):
        word = match[0].lower()
        if word in MEANING:
            found.append({MEANING[word]})
        else:
            value = float(word.removesuffix("%"))
            found.append({value, round(value / 100, 6)} if word.endswith("%") else {value})
    return found


def name_of(item, number):
    """Return the name of an entry of a list: of a row of hazard ratios the covariate and the levels compared."""
    if "covariate" in item:
        levels = [" or ".join(item[key]) for key in ("level", "reference") if key in item]
        return item["covariate"] + (": " + " vs ".join(levels) if levels else "")
    return item.get("id", item.get("name", str(number)))


def leaves(value, place=""):
    """Yield every place and value of plain data; lists are named by their entries' names, or counted from 1."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{place}/{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from leaves(item, f"{place}/{name_of(item, number) if isinstance(item, dict) else number}")
    else:
        yield place, value


@pytest.fixture(scope="module")
def evidence():
    return sw.load_evidence("krog-20-04")


@pytest.fixture(scope="module")
def held(evidence):
    """Every value of the summary by its place."""
    found = list(leaves(evidence.to_dict()))
    assert len(dict(found)) == len(found), "two values have the same place"
    return dict(found)


@pytest.mark.parametrize(("place", "quote", "places"), ROWS, ids=[f"{place}: {quote}" for place, quote, _ in ROWS])
def test_the_numbers_of_a_row(held, place, quote, places):
    assert {name: held.get(name) for name in places} == places, place
    assert len(quote.split()) <= LONGEST_QUOTE
    said = numbers_said(quote)[-len(places) :]
    assert len(said) == len(places)
    assert all(value in meant for value, meant in zip(places.values(), said, strict=True)), "not what the quote says"


@pytest.mark.parametrize(("place", "quote", "name", "total"), SUMS, ids=[name for _, _, name, _ in SUMS])
def test_numbers_that_are_sums_of_printed_ones(held, place, quote, name, total):
    assert held[name] == total, place
    assert len(quote.split()) <= LONGEST_QUOTE
    assert sum(value for meant in numbers_said(quote) for value in meant) == total


@pytest.mark.parametrize(("place", "quote", "name", "words"), IN_WORDS, ids=[f"{row[2]}: {row[3]}" for row in IN_WORDS])
def test_numbers_held_in_words(held, place, quote, name, words):
    assert words in held[name], place
    assert len(quote.split()) <= LONGEST_QUOTE
    assert set(re.findall(r"\d+", words)) <= set(re.findall(r"\d+", quote))


def test_every_number_of_the_summary_was_looked_up_in_the_paper(held):
    numbers = {
        place
        for place, value in held.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and place.split("/")[-1] not in NOT_PUBLISHED
    }
    checked = {name for _, _, places in ROWS for name in places} | {name for _, _, name, _ in SUMS}
    assert numbers - checked == set()
    # what is left is no number: the median that was not reached
    assert checked - numbers == {"survival/os-median-lung/median"}
    assert len(numbers) > 150


def test_the_year_of_the_citation(held):
    assert held["source/year"] == 2022
    assert "2022" in IN_WORDS[0][1]


def entries(value, place=""):
    """Yield every part of plain data that has a quote of its own, with its place."""
    if isinstance(value, dict):
        if "quote" in value:
            yield place, value
        for key, item in value.items():
            yield from entries(item, f"{place}/{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            if isinstance(item, dict):
                yield from entries(item, f"{place}/{name_of(item, number)}")


def test_the_quotes_of_the_summary_hold_its_numbers(evidence):
    """Every number of an entry, and not only one of them, is in the entry's own quotes, but for a sum."""
    unquoted, quoted = set(), set()
    for place, entry in entries(evidence.to_dict()):
        said = [meant for quote in entry["quote"] for meant in numbers_said(quote)]
        for name, value in leaves({key: item for key, item in entry.items() if key not in ("quote", "term")}, place):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if (number or value == "not reached") and name.split("/")[-1] not in NOT_PUBLISHED:
                (quoted if any(value in meant for meant in said) else unquoted).add(name)
    assert unquoted == {"categorical/systemic_timing/total"}
    assert len(quoted) > 150


def most_decimals(model):
    numbers = (value for term in model.term for value in (term.hazard_ratio, term.lower, term.upper))
    return max(len(str(value).partition(".")[2]) for value in numbers)


def test_hazard_ratios_are_held_to_the_decimals_that_are_printed(evidence):
    """What is accepted of ratio, interval and p value depends on the decimals and on the probability of the interval."""
    printed = {term: quote for term, quote, _ in TABLE_3}
    for model in evidence.model:
        assert model.prob == 0.95  # "HR 95% CI p Value"
        assert model.endpoint == "os"  # "Prognostic factors for overall survival."
        assert model.adjusted == (model.id == "multivariate")
        for term in model.term:
            decimals = {len(found) for found in re.findall(r"\.(\d+)", printed[name_of(term.to_dict(), 0)])}
            assert decimals == {3}
            assert term.digits is None  # the default: the most that any number of the model has, here
            assert most_decimals(model) == 3


def test_the_endpoints(evidence):
    """Of all medians one is of progression-free survival."""
    assert [item.id for item in evidence.survival if item.endpoint != "os"] == ["pfs-median"]
    assert {item.endpoint for item in evidence.survival} == {"os", "pfs"}


def test_the_favourable_levels(evidence):
    """'The favourable risk factors were ECOG Performance Status 0 and Child–Pugh class A.'"""
    found = {item.name: item.favourable for item in evidence.categorical if item.favourable}
    assert found == {"ecog": ("0",), "child_pugh": ("A",)}


def test_the_groups_of_the_medians_by_site(evidence):
    """'was not reached in the lung and 46 and 22 months in the adrenal gland and abdominal LN'."""
    assert {item.id: item.group for item in evidence.survival if item.group} == {
        "os-median-lung": {"metastatic_site": ("lung",)},
        "os-median-adrenal": {"metastatic_site": ("adrenal gland",)},
        "os-median-lymph-node": {"metastatic_site": ("abdominal lymph node",)},
    }


def test_the_ratio_of_men_to_women(evidence):
    """'the male-to-female ratio was 8:2': the only ratio of the text, held as the two counts."""
    sex = evidence.characteristics["sex"].levels
    assert [round(count / 10) for count in (sex["male"], sex["female"])] == [8, 2]


def test_what_the_groups_of_the_text_compare(evidence):
    """'the number of prognostic factors: 46 months in patients with both factors ... (p < 0.001)'."""
    (comparison,) = evidence.comparison
    assert comparison.between == ("os-median-group-1", "os-median-group-2", "os-median-group-3")
    assert comparison.test == "log-rank"  # section 2.3: "the differences between the curves analysed using log-rank tests"

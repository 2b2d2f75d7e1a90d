"""The text that a cohort's identity is made of is the one that pandas writes."""

import numpy as np
import pandas as pd

from sitewise.cohort.text import csv_text


def test_text_is_that_of_to_csv() -> None:
    frame = pd.DataFrame(
        {
            "patient": ["1", 'a "b"', "c,d", "", "é\nf", None],
            "site, of care": pd.Categorical(["x", "y,z", None, "x", "x", "y,z"]),
            "time": [0.1 + 0.2, 1e-9, 123456789.123456789, 3.0, np.nan, 1e22],
            "event": [0, 1, 1, 0, 1, 0],
            "flag": [True, False, True, True, False, False],
            "text": pd.Series(["u", "v", "u", "u", "v", "u"], dtype="str"),
        }
    )
    assert csv_text(frame) == frame.to_csv(index=False, float_format="%.12g", lineterminator="\n")

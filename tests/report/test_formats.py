"""Numbers carry their unit and are never rounded into something better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentei.report import formats as f


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (f.general, 0.0, "0"), (f.general, 0.0512, "0.0512"), (f.general, 3.14159, "3.14"),
        (f.general, 128.4, "128"), (f.general, 1.23e-9, "1.23e-9"), (f.general, 99_999.0, "99,999"),
        (f.general, 1e300, "1.00e300"), (f.general, -2.5, "-2.50"), (f.general, None, "–"),
        (f.exact, 2_293_000, "2,293,000"), (f.exact, math.nan, "–"),
        (f.count, 812, "812"), (f.count, 40_600, "40.6 k"), (f.count, 2_290_000, "2.29 M"),
        (f.count, 15.47e9, "15.5 G"), (f.count, 999_999, "1.00 M"), (f.count, 0, "0"),
        (f.bytes_text, 812, "812 B"), (f.bytes_text, 1_734_000, "1.73 MB"),
        (f.percent, 0.299, "29.9 %"), (f.percent, 1.0, "100.0 %"), (f.percent, 0.0, "0.0 %"),
        (f.percent, 0.99999, ">99.9 %"), (f.percent, 0.00001, "<0.1 %"), (f.percent, 1.5, "150.0 %"),
        (f.percent, math.inf, "–"), (f.percent, 1e300, "1.00e302 %"),
        (f.points, -0.0025, "−0.25 points"), (f.points, 0.01, "+1.00 points"),
        (f.points, 0.0, "±0.00 points"),
        (f.times, 2.4, "2.40×"), (f.times, 34.56, "34.6×"), (f.times, 1234.0, "1,234×"),
        (f.times, None, "–"),
        (f.milliseconds, 0.412, "0.412 ms"), (f.milliseconds, 0.0123, "12.3 µs"),
        (f.milliseconds, 1500, "1.50 s"), (f.milliseconds, 0.0, "0 ms"),
        (f.duration, 0.42, "0.42 s"), (f.duration, 42.13, "42.1 s"), (f.duration, 59.96, "1 min 00 s"),
        (f.duration, 125.0, "2 min 05 s"), (f.duration, 11_400, "3 h 10 min"),
        (f.duration, 0.0012, "0.00120 s"),
        (f.tick, 0.3, "0.3"), (f.tick, 1e-5, "1e-5"), (f.tick, 2000.0, "2,000"),
    ],
)  # fmt: skip
def test_examples(write, value, expected):
    assert write(value).replace("\xa0", " ") == expected


@pytest.mark.parametrize(
    "write",
    [f.general, f.exact, f.count, f.bytes_text, f.percent, f.points, f.times, f.milliseconds,
     f.duration],
)  # fmt: skip
@given(value=st.floats())
def test_any_float_is_written_short(write, value):
    shown = write(value)
    assert 1 <= len(shown) <= 24
    assert "nan" not in shown and "inf" not in shown


@given(st.floats(min_value=0, max_value=1))
def test_only_none_and_all_are_written_so(fraction):
    assert (f.percent(fraction) == "0.0\xa0%") == (fraction == 0)
    assert (f.percent(fraction) == "100.0\xa0%") == (fraction == 1)

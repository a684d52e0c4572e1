from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence import numbers
from agent_sre.evidence.numbers import UNITS, format_beside, format_number, unit_of_metric


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.93, numbers.PLAIN, "0.93"),
        (0.0, numbers.PLAIN, "0"),
        (12.0, numbers.PLAIN, "12"),
        (1234.5, numbers.PLAIN, "1,234"),
        (12_345_678.0, numbers.PLAIN, "12.3 M"),
        (-0.000123, numbers.PLAIN, "-0.000123"),
        (1e-9, numbers.PLAIN, "1.00e-09"),
        (3e20, numbers.PLAIN, "3.00e+20"),
        (math.inf, numbers.BYTES, "+Inf"),
        (-math.inf, numbers.PLAIN, "-Inf"),
        (math.nan, numbers.RATIO, "NaN"),
        (0.93, numbers.RATIO, "93 %"),
        (0.0012, numbers.RATIO, "0.12 %"),
        (93.25, numbers.PERCENT, "93.2 %"),
        (1536 * 1024**2, numbers.BYTES, "1.5 GiB"),
        (1000, numbers.BYTES, "1,000 B"),
        (-2048, numbers.BYTES, "-2 KiB"),
        (5 * 1024**2, numbers.BYTES_PER_SECOND, "5 MiB/s"),
        (0.25, numbers.SECONDS, "250 ms"),
        (0.00002, numbers.SECONDS, "20 µs"),
        (2.5, numbers.SECONDS, "2.5 s"),
        (604800, numbers.SECONDS, "7 d"),
        (-90, numbers.SECONDS, "-1 min 30 s"),
        (0, numbers.SECONDS, "0 s"),
        (4.2, numbers.PER_SECOND, "4.2/s"),
        (71.5, numbers.CELSIUS, "71.5 °C"),
        (1795416070, numbers.TIMESTAMP, "2026-11-23 06:41:10Z"),
        (5, numbers.TIMESTAMP, "5"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert format_number(value, unit) == text


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("node_memory_MemAvailable_bytes", numbers.BYTES),
        ("container_network_receive_bytes_total", numbers.BYTES),
        ("http_request_duration_seconds_bucket", numbers.SECONDS),
        ("http_request_duration_seconds_sum", numbers.SECONDS),
        ("http_request_duration_seconds_count", numbers.PLAIN),
        ("etcd_network_peer_round_trip_time_seconds_bucket", numbers.SECONDS),
        ("process_start_time_seconds", numbers.TIMESTAMP),
        ("kube_job_status_start_time", numbers.TIMESTAMP),
        ("kube_pod_created", numbers.TIMESTAMP),
        ("instance:node_memory_utilisation:ratio", numbers.RATIO),
        ("node_hwmon_temp_celsius", numbers.CELSIUS),
        ("up", numbers.PLAIN),
        ("", numbers.PLAIN),
    ],
)
def test_a_metric_says_its_unit_by_its_name(name: str, unit: str) -> None:
    assert unit_of_metric(name) == unit


def test_a_value_just_above_its_threshold_does_not_look_equal_to_it() -> None:
    assert format_beside(0.90004, 0.9, numbers.RATIO) == ("90.004 %", "90 %")
    assert format_beside(0.93, 0.9, numbers.RATIO) == ("93 %", "90 %")
    assert format_beside(3605.0, 3600.0, numbers.SECONDS)[0] != format_beside(3605.0, 3600.0, numbers.SECONDS)[1]
    assert format_beside(2.0, 2.0) == ("2", "2")


@given(value=st.floats(), unit=st.sampled_from(UNITS))
@settings(deadline=None)
def test_every_number_has_a_short_text_in_every_unit(value: float, unit: str) -> None:
    text = format_number(value, unit)
    assert 0 < len(text) < 40

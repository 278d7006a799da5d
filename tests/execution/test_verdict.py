import signal

import pytest

from ponderosa.execution.jail.verdict import ended


def test_the_executors_word_comes_before_the_programs():
    assert ended("timeout", 0, {"status": "ok"}) == {"status": "timeout"}


def test_a_report_counts_only_if_the_process_ended_well():
    report = {"status": "error", "error_type": "ValueError", "error_message": "no", "line": 3}
    assert ended(None, 0, report) == report
    assert ended(None, 1, report)["status"] == "crashed"


@pytest.mark.parametrize("report", [None, "x", [], {"status": "timeout"}, {"status": 1}, {"status": ["ok"]}])
def test_no_report_or_a_forged_one_is_a_crash(report):
    assert ended(None, 0, report)["status"] == "crashed"


def test_a_report_brings_no_fields_of_its_own():
    assert ended(None, 0, {"status": "ok", "id": 9, "stdout": "x", "line": "y"}) == {"status": "ok"}


def test_signals_are_named():
    assert ended(None, -signal.SIGSEGV, None) == {"status": "crashed", "error_message": "killed by SIGSEGV"}
    assert ended(None, -signal.SIGXCPU, None) == {"status": "timeout"}

"""What every test run needs, notebooks included."""

import os
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest

# On the same two cores, chapters were seen to take 1.7 times as long as an hour before.
TIMES_AS_LONG = 2
seconds: dict[str, float] = defaultdict(float)


def pytest_collectstart(collector: pytest.Collector) -> None:
    # TensorFlow describes the machine on stderr as it starts, and no setting silences
    # all of it. So nbval does not compare stderr, and `make notebooks` drops it.
    # Drawings are pictures too; nbval leaves out PNG by itself.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/svg+xml")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = report.nodeid.split("::")[0]
    if path.endswith(".ipynb"):
        seconds[path] += report.duration


def allowed(path: str) -> float:
    """Return a bound for the seconds of a chapter, from those that it stores."""
    notebook = nbformat.read(Path(__file__).parent / path, as_version=4)
    measured = notebook.metadata.get("measured")
    if measured is None:  # another test says so
        return float("inf")
    # Models of video use both cores, and `.ci/run` also tests on a single thread.
    alone = os.environ.get("TF_NUM_INTRAOP_THREADS") == "1"
    halved = alone and path.startswith("notebooks/video/")
    return measured["seconds"] * TIMES_AS_LONG * (2 if halved else 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path, duration in seconds.items():
        terminalreporter.write_line(
            f"{path} took {duration:.0f} s of the {allowed(path):.0f} s that it may"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A reader's machine may be slower than the one that the times were stored on.
    slow = any(duration > allowed(path) for path, duration in seconds.items())
    if "CI" in os.environ and slow:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

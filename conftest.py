"""What every test run needs, notebooks included."""

import os
from collections import defaultdict

import pytest

SECONDS_A_CHAPTER = 60
# Models of video need more: see the chapters' own words.
SECONDS_A_VIDEO_CHAPTER = 90
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


def allowed(path: str) -> int:
    if not path.startswith("notebooks/video/"):
        return SECONDS_A_CHAPTER
    # The limit is for two cores, and `.ci/run` also tests on a single thread.
    alone = os.environ.get("TF_NUM_INTRAOP_THREADS") == "1"
    return SECONDS_A_VIDEO_CHAPTER * (2 if alone else 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path, duration in seconds.items():
        terminalreporter.write_line(
            f"{path} took {duration:.0f} s of the {allowed(path)} s that it may"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A reader's machine may be slower than the two cores that the pages speak of.
    slow = any(duration > allowed(path) for path, duration in seconds.items())
    if "CI" in os.environ and slow:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

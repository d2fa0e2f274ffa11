"""What every test run needs, notebooks included."""

import os
import subprocess
import sys
import time
from collections import defaultdict

import pytest

SECONDS_A_CHAPTER = 60
# Models of video need more: see the chapters' own words.
SECONDS_A_VIDEO_CHAPTER = 90
seconds: dict[str, float] = defaultdict(float)
seconds_alone: dict[str, float] = {}


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


def measure_alone(path: str) -> None:
    """Run a chapter again: whatever else the machine did has only added to its time."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", path],
        env={name: value for name, value in os.environ.items() if name != "CI"},
        check=True,
    )
    seconds_alone[path] = time.perf_counter() - start


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A reader's machine may be slower than the two cores that the pages speak of.
    if "CI" not in os.environ or session.testsfailed:
        return
    for path, duration in seconds.items():
        if duration > allowed(path):
            measure_alone(path)
            if seconds_alone[path] > allowed(path):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path, duration in seconds.items():
        again = f"{seconds_alone[path]:.0f} s alone, " if path in seconds_alone else ""
        terminalreporter.write_line(
            f"{path} took {duration:.0f} s, {again}of the {allowed(path)} s that it may"
        )

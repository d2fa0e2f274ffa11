"""What every test run needs, notebooks included."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    # TensorFlow reports the machine's processor and drivers on stderr as it starts. No
    # setting silences all of it, so stderr is not compared, and `make notebooks` drops it.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)

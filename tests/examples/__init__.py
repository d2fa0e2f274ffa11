"""The scripts that readers take along; pytest finds them by its `pythonpath`."""

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"

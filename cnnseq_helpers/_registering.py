"""The names of the package's layers, told to Keras without importing either.

Keras looks up a saved layer among the names that it was told, and never imports the
module that a file names. So that loading a model needs no other import than that of
the package, and that import stays quick, Keras is told as soon as both are there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = "cnnseq_helpers"

# Each with the module that it is imported from.
_LAYERS = {
    "BatchApply": _PACKAGE,
    "MaskedAveragePooling1D": _PACKAGE,
    "MaskedConv1D": _PACKAGE,
    "MaskedGlobalAveragePooling1D": _PACKAGE,
    "MaskedGlobalMaxPooling1D": _PACKAGE,
    "MaskedMaxPooling1D": _PACKAGE,
    "MixtureHead": _PACKAGE,
    "MixtureLoss": _PACKAGE,
    "RandomConvolutions": f"{_PACKAGE}.converting.random_kernels",
}


def register_layers() -> None:
    """Tell Keras the names of the layers: now, or when it will have been imported."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "saving"):
        _tell(keras)
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())


class _Later:
    """Stands for a layer's class until its module is imported, which replaces it.

    To import it at once would go in circles, as modules of this package import Keras.
    """

    def __init__(self, name: str, module: str) -> None:
        self._name, self._module = name, module

    @property
    def from_config(self) -> Any:
        """What Keras asks of a class when it loads a layer."""
        return getattr(import_module(self._module), self._name).from_config


def _tell(keras: Any) -> None:
    known = keras.saving.get_custom_objects()
    for name, module in _LAYERS.items():
        known.setdefault(f"{_PACKAGE}>{name}", _Later(name, module))


class _AfterKeras(MetaPathFinder):
    """Finds nothing by itself, but notices when Keras has been imported."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_tell(module: ModuleType) -> None:
            loader.exec_module = execute
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _tell(module)

        loader.exec_module = execute_and_tell

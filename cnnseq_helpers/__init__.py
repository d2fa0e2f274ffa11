"""Tested helpers for convolutional and recurrent models of sequences.

Every public name imports from here and loads its module on first use, so that
``import cnnseq_helpers`` is quick and loads neither TensorFlow nor Keras. The
names are listed in ``__init__.pyi``. Keras knows the layers by then: it loads a
saved model with them after this import alone.
"""

import lazy_loader

from ._registering import register_layers as _register_layers

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_register_layers()

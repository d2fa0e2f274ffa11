"""Tests give tensors of PyTorch to NumPy as those of other backends; the package can't.

NumPy takes no tensor that wants a gradient, and what the tests compare wants none. The
package gets no such help, as readers have none.
"""

import sys

import torch

from .conftest import ROOT

as_array, wrapped = torch.Tensor.__array__, torch.Tensor.__array_wrap__


def is_package():
    """Tell whether it is the package that gives a tensor to NumPy."""
    frame = sys._getframe(2)
    while "/numpy/" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(f"{ROOT / 'cnnseq_helpers'}/")


def of_tensor(self, dtype=None, copy=None):
    array = as_array(self if is_package() else self.detach(), dtype)
    return array.copy() if copy else array


def of_result(self, array, *context):
    return wrapped(self, array) if is_package() else array[()]


torch.Tensor.__array__, torch.Tensor.__array_wrap__ = of_tensor, of_result

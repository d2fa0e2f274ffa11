"""Gradients on any backend of Keras, for tests."""

import keras
import numpy as np


def gradients(function, arrays):
    """Return d function(*arrays) / d each array, as NumPy arrays."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        arrays = [keras.ops.convert_to_tensor(each) for each in arrays]
        found = jax.grad(function, argnums=tuple(range(len(arrays))))(*arrays)
    elif backend == "torch":
        arrays = [keras.ops.convert_to_tensor(each) for each in arrays]
        arrays = [each.detach().clone().requires_grad_() for each in arrays]
        function(*arrays).backward()
        found = [each.grad for each in arrays]
    else:
        import tensorflow as tf

        arrays = [tf.convert_to_tensor(each) for each in arrays]
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            value = function(*arrays)
        found = tape.gradient(value, arrays)
    return [np.asarray(keras.ops.convert_to_numpy(each)) for each in found]

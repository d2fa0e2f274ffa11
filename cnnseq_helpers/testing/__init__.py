"""Checks by experiment, on any Keras model: change the input, watch the output.

Imported by no other room. May import `shapes` and `tracing`.
"""

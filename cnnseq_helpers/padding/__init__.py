"""Sequences of different length: padding, masks, buckets.

`boundaries` needs NumPy alone. May import `shapes`.
"""

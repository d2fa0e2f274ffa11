"""Sequences that a model writes itself: strokes of a pen, words.

May import `shapes`, `tracing`, `combining`, `padding` and `deploying`.
"""

"""Sequences that a model writes by itself: strokes of a pen, words of a caption.

May import `shapes`, `tracing`, `combining` and `padding`.
"""

"""Clips: their files, and models that predict the frames that follow.

May import `shapes`, `tracing`, `combining` and `deploying`.
"""

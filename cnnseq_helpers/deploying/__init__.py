"""Models that run somewhere: on a live stream, one step at a time, without Keras.

May import `shapes`, `tracing`, `combining` and `padding`.
"""

"""From a CNN-LSTM to a 1D-CNN: convolutions for recurrent layers, and distilling.

May import `shapes`, `tracing`, `combining` and `padding`.
"""

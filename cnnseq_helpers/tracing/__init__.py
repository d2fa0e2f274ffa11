"""What the graph of a Keras model tells: how far it sees, its shapes, its heads.

May import `shapes`.
"""

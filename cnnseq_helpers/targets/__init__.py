"""Whether logits, labels, loss and metrics fit together.

`checking` reads model and labels (`labels`, `pairing`, `losses`), asks the rules one
after the other, and lets `cases` write what mends a fault. May import `shapes` and
`tracing`.
"""

"""Whether logits, labels, loss and metrics fit together.

Three steps without a way back, which `checking` takes: `labels` and `losses` read all
into records, `rules` (with `value_rules` and `metric_rules`) judge these alone and
return findings, `fixes` writes what mends each. May import `shapes` and `tracing`.
"""

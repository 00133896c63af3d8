//! Runs a graph of async steps: order, joins, loops, limits, cancellation, checkpoints.

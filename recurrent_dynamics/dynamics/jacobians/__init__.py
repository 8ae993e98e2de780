"""Products of the Jacobians of a run, and their determinants."""

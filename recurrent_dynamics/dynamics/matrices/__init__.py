"""One matrix, or a stack of them: non-normality, pseudospectra, transient growth."""

"""From measurements of a training to a verdict and its remedies."""

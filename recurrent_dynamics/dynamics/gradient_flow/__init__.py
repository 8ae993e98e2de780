"""The gradient of the loss on its way back through time, and what each lag adds to it."""

"""Fixed points of a step: search, certificate, linear stability, continuation."""

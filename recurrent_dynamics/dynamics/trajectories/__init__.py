"""Runs and systems as sequences of states with the linear map of each step."""

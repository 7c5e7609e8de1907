"""Runs a point network over a clip, in native pixels."""

WORKING_ROWS = 256

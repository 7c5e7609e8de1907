"""Detectors of key-points: one file a model."""

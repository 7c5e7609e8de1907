"""Segmenters: one file a model."""

"""Trackers, segmenters and their weights behind one registry."""

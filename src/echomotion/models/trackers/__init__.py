"""Point trackers: one file a model."""

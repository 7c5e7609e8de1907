"""Dense motion between two frames: one file a model."""

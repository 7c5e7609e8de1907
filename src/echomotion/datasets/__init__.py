"""Public datasets, read in their official layout."""

"""Numbers from trajectories and masks, with NumPy and SciPy alone."""

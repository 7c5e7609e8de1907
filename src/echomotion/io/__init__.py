"""Read any echo recording as a Clip, and write results."""

"""Read any echo recording as a Clip, and write results."""

from echomotion.io.read import read_clip

__all__ = ["read_clip"]

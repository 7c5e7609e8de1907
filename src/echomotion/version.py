"""The version of echomotion."""

__version__ = "0.1.0"

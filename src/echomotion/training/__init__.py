"""How the released models are trained."""

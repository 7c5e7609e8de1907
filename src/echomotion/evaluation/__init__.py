"""How models are compared: metrics, protocols, tables."""

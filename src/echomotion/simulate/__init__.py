"""Simulated echocardiography with known motion."""

"""Find the ultrasound fan, and map native frames to model grids."""

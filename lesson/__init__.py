"""What the notebook shows beside the algorithm."""

"""Changes to a float graph that make its INT8 form more accurate."""

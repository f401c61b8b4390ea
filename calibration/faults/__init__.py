"""Where a Q/DQ graph departs from its float network: what is found by looking at the graphs."""

"""One rule per file: `check(subject, runtime)` yields findings. RULES in `engine.py` lists them."""

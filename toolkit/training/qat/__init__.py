"""Quantization-aware fine-tuning: the graph that will run in INT8 learns with its rounding."""

"""Ranges and Q/DQ: numpy, onnx and onnxruntime only."""

"""ONNX files and graphs: opening, checking, raising the opset, tidying."""

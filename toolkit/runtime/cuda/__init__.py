"""Run TensorRT and TensorRT-RTX engines with PyCUDA; the modules are passed in, never imported."""

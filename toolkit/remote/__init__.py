"""Build and measure on a device over SSH, where nothing but TensorRT's trtexec is needed."""

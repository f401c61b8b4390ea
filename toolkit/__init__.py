"""Edgekit's pipeline: from a trained CNN to a trustworthy INT8 engine, measured."""

__version__ = "0.1.0"

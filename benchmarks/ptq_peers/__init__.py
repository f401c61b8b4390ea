"""Edgekit's INT8 beside that of other quantizers: same float model, images and scoring.

    python -m benchmarks.ptq_peers IMAGENET_DIR --peers DIR

Each combination is made in a process of its own and scored in another; `--only PATTERN` makes some
of them again and keeps the others' rows. `docs/ptq-peers.md` is written from all rows there are.
"""

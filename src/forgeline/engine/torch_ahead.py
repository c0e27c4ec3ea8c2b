"""Imported ahead of the workers where a family needs torch: the first optimizer of a process asks for its compiler.

A torch that cannot be imported is for the worker that needs it to say, not for the process that starts workers.
"""

from contextlib import suppress

with suppress(Exception):
    import torch._dynamo  # noqa: F401

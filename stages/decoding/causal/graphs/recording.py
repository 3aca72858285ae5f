"""Recording one CUDA graph after the other, cheaply.

`torch.cuda.graph` gives all free memory back to the driver before it records, and the next batch has to ask for it again. Here
it stays. All graphs work in the same memory, which is safe because no two of them run at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch


@cache
def _shared(device: int) -> tuple[torch.cuda.CUDAGraph, torch.cuda.Stream]:
    """A graph of nothing much, whose life keeps the memory of all others together, and the stream that they are recorded on."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
    with torch.cuda.graph(graph, stream=stream):
        torch.zeros(1, device=torch.device("cuda", device))
    return graph, stream


@contextmanager
def recording(graph: torch.cuda.CUDAGraph) -> Iterator[None]:
    """What is launched inside is recorded in `graph`, and not run."""
    first, stream = _shared(torch.cuda.current_device())
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        graph.capture_begin(pool=first.pool())
        try:
            yield
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)

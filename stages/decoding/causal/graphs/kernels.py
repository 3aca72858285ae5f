"""Our kernels by their names, and whether they are here: Triton comes with PyTorch's builds for GPUs alone."""

try:
    from stages.decoding.causal.graphs.between import gate, norm
    from stages.decoding.causal.graphs.drawing import best, draw, sums
    from stages.decoding.causal.graphs.heads import store
    from stages.decoding.causal.graphs.one_query import attend
except ImportError:
    HERE = False
else:
    HERE = True

__all__ = ["HERE", "attend", "best", "draw", "gate", "norm", "store", "sums"]

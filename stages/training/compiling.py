"""Compiling for training on a GPU: one block of the transformer, which serves for all of them, and the loss.

The whole model as one graph is hardly faster, and takes longer to compile the more blocks there are.
"""

from collections.abc import Callable

import torch

from stages.models import runtime

PAYS = 600  # seconds of steps from which compiling, about one minute, is sure to be worth its time


def compiled(model, task, sparing: bool) -> Callable:
    """The task's `forward`, with what it calls compiled.

    Before each call PyTorch asks whether a compiled block fits. Questions about its weights take longer than the block itself.
    They are left out where all blocks are alike, which means that all learn, or the same parts of each do. Training and scoring
    are told apart all the same, for only one of them has gradients.

    Args:
        sparing: half of what the backward pass needs is made again: the cheapest half, by the compiler's count.
    """
    import torch._functorch.config as memory
    import torch.fx.experimental._config as shapes

    shapes.use_duck_shape = False  # two sizes that happen to be equal once are not the same size
    memory.activation_memory_budget = 0.5 if sparing else 1.0
    blocks = runtime.blocks(model)
    kinds = {tuple((name, p.requires_grad, p.dtype, p.shape) for name, p in block.named_parameters()) for block in blocks}
    options = None
    if len(kinds) == 1:
        options = {"guard_filter_fn": torch.compiler.skip_guard_on_inbuilt_nn_modules_unsafe}
        model.enable_input_require_grads()  # else the first block is another case than the rest
    for block in blocks:  # hooks stay outside: the first block has one, and would be compiled once more for it
        block.forward = torch.compile(block.forward, dynamic=True, options=options)
    return task.compiled().forward


def advice(is_compiled: bool, first: float, seconds: float) -> str:
    """What to say of `compile` after a training on a GPU, or nothing.

    Args:
        first: seconds of the first step, in which compiling happens.
        seconds: of all steps.
    """
    if is_compiled and first > seconds / 2:
        return f"compiling took about {first:.0f} of {seconds:.0f} s; train.compile: false may be faster for so few steps"
    if not is_compiled and seconds > PAYS:
        return f"training took {seconds:.0f} s; train.compile: true takes a minute at the start, and each step is faster"
    return ""

"""One training over several processes: each takes its share of every optimizer batch, and gradients are summed.

`torchrun` starts them, or any launcher that sets the same environment variables (`launch.py`). Every process holds the whole
model (data parallelism), or with AFFINAGE_SHARD=1 a share of it (FSDP2). Process 0 alone writes.

The loss is summed over the targets of the whole batch before it is divided. So the number of processes changes the result by
rounding alone.
"""

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Timer

import torch
import torch.distributed as dist
from torch import nn
from torch.utils._pytree import tree_map

from stages.common.errors import StageError
from stages.models import runtime

PATIENCE = timedelta(minutes=30)  # of a process that waits for the others; a large checkpoint takes minutes to write


@dataclass(frozen=True)
class World:
    """This process's number, and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def share(self, examples: list) -> list:
        """The examples of this process, in their order.

        They are dealt out from the longest on, back and forth: all processes get about as many tokens, and none waits long.
        """
        if self.size == 1:
            return examples
        longest_first = sorted(range(len(examples)), key=lambda i: -len(examples[i]))
        turns = [*range(self.size), *reversed(range(self.size))]
        own = [place for i, place in enumerate(longest_first) if turns[i % len(turns)] == self.rank]
        return [examples[place] for place in sorted(own)]

    def shares(self, examples: list) -> list[list]:
        """What `share` gives each process."""
        return [replace(self, rank=rank).share(examples) for rank in range(self.size)]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """`values` summed over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            with self.watched("waiting for the others"):
                dist.barrier(device_ids=[runtime.device().index] if dist.get_backend() == "nccl" else None)

    def gather(self, value: object) -> list:
        """`value` of every process, in their order."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        with self.watched("gathering from all"):
            dist.all_gather_object(values, value)
        return values

    def agreed(self, value: object) -> object:
        """`value` of process 0. Figures that processes measure may differ by rounding, and decisions must not."""
        return self.gather(value)[0]

    @contextmanager
    def watched(self, work: str) -> Iterator[None]:
        """Work in which processes wait for each other. Where it does not end, this process says where it stands, and ends."""
        if self.size == 1:
            yield
            return
        alarm = Timer(PATIENCE.total_seconds(), self._give_up, [work])
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()

    def _give_up(self, work: str) -> None:
        problem = StageError(
            f"process {self.rank} of {self.size}, {work}",
            f"no end of it for {PATIENCE}",
            "every process at the same work",
            "see what each process said last, and run the same command again: it goes on from the last checkpoint",
        )
        print(f"error: {problem}\n\nWhere this process stands:", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr)
        os._exit(1)  # the main thread waits inside PyTorch, where no exception reaches it

    def same(self, value: object, difference: str, fix: str) -> None:
        """Check that `value` is the same in every process.

        Args:
            difference: what differs otherwise, for the error.
            fix: what is to be done then.

        Raises:
            StageError: if a process has another value.
        """
        if any(other != value for other in self.gather(value)):
            raise StageError(f"process {self.rank} of {self.size}", difference, "the same in every process", fix)


def join() -> World:
    """The processes of this run. It is one where no launcher started it.

    Raises:
        StageError: if there are more processes than GPUs on this host.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return World()
    if not dist.is_initialized():
        options = {"timeout": PATIENCE + timedelta(minutes=1)}  # `watched` speaks first
        if torch.cuda.is_available():
            gpu, count = runtime.device(), torch.cuda.device_count()
            if gpu.index >= count:
                fix = f"start as many processes as there are GPUs: --nproc-per-node {count}"
                raise StageError("LOCAL_RANK", str(gpu.index), f"0 to {count - 1}: a GPU for each process", fix)
            torch.cuda.set_device(gpu)
            options |= {"device_id": gpu}
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", **options)
    return World(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def sharded() -> bool:
    """Whether each of several processes is to hold a share of the model: AFFINAGE_SHARD asks for it.

    Raises:
        StageError: if it is neither 0 nor 1.
    """
    asked = os.environ.get("AFFINAGE_SHARD", "")
    if asked not in ("", "0", "1"):
        raise StageError("AFFINAGE_SHARD", asked, "0 or 1", "set it anew")
    return asked == "1" and int(os.environ.get("WORLD_SIZE", 1)) > 1


def shard(model: nn.Module, blocks: nn.ModuleList, dtype: torch.dtype) -> None:
    """Give each process its share of the parameters (fully_shard, FSDP2), block by block. What learns becomes float32 just
    before it is cut. Gradients are then summed where they arise.

    The model gets a method `in_forward`, for work that calls its parts (`runtime.in_forward`).

    Args:
        dtype: what a block's parameters are turned to before they are put together: that of the matrix products. It is half the
            traffic of float32, and autocast need not keep a narrow copy of every block. Gradients are summed in float32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    narrow = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for part in [*blocks, model]:
        for parameter in part.parameters():
            if parameter.requires_grad and parameter.dtype is not torch.float32:
                parameter.data = parameter.data.float()
        fully_shard(part, mp_policy=MixedPrecisionPolicy() if part is model else narrow)
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)  # gloo can only sum, and nothing is to be divided
    model.in_forward = lambda work: work()
    register_fsdp_forward_method(model, "in_forward")


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Sum whole gradients over the processes. A parameter without one had no share in this process's loss."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for work in [dist.all_reduce(parameter.grad, async_op=True) for parameter in parameters]:
        work.wait()


def clip(parameters: list[nn.Parameter], most: float) -> None:
    """Scale gradients that are shared out so that the norm of all of them together is at most `most`.

    PyTorch's own function would ask the other processes once for every parameter.
    """
    own = [parameter.grad.to_local() for parameter in parameters if parameter.grad is not None]
    squares = torch.nn.utils.get_total_norm(own).square()
    dist.all_reduce(squares)
    torch._foreach_mul_(own, (most / (squares.sqrt() + 1e-6)).clamp(max=1.0))


def whole(tensor: torch.Tensor) -> torch.Tensor | None:
    """A copy in the memory of the machine. Every process must ask.

    What is shared out is put together tensor by tensor, and for process 0 alone: the others get None.
    """
    if not hasattr(tensor, "full_tensor"):
        return tensor.to("cpu", copy=True)
    tensor = tensor.full_tensor()
    return tensor.cpu() if dist.get_rank() == 0 else None


def fill(parameter: nn.Parameter, values: torch.Tensor | None) -> None:
    """Set a parameter to `values`. Where it is shared out, those of process 0 count, and each process takes its share."""
    with torch.no_grad():
        parameter.copy_(_like(values, parameter))


def optimizer_state(optim: torch.optim.Optimizer) -> dict:
    """The optimizer's state with whole tensors, as `whole` gives them. Every process must ask."""
    return tree_map(lambda value: whole(value) if hasattr(value, "full_tensor") else value, optim.state_dict())


def load_optimizer(optim: torch.optim.Optimizer, saved: dict) -> None:
    """Go on from what `optimizer_state` gave."""
    parameters = [parameter for group in optim.param_groups for parameter in group["params"]]
    state = {
        place: {name: _like(value, parameters[place]) for name, value in values.items()}
        for place, values in saved["state"].items()
    }
    optim.load_state_dict(saved | {"state": state})


def _like(values: torch.Tensor | None, parameter: nn.Parameter) -> torch.Tensor:
    if not hasattr(parameter, "placements") or (values is not None and values.shape != parameter.shape):
        return values
    from torch.distributed.tensor import distribute_tensor

    place = {"dtype": parameter.dtype, "device": parameter.device}
    held = torch.empty(parameter.shape, **place) if values is None else values.to(**place)  # process 0 sends what counts
    return distribute_tensor(held, parameter.device_mesh, parameter.placements)

"""One training over several processes: each takes its share of every optimizer batch, and gradients are summed.

`torchrun` starts them, or any launcher that sets the same environment variables (`launch.py`). Every process holds the whole
model (data parallelism), or with AFFINAGE_SHARD=1 a share of it (FSDP2). Process 0 alone writes.

The loss is summed over the targets of the whole batch before it is divided. So the number of processes changes the result by
rounding alone.
"""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.utils._pytree import tree_map

from stages.common.errors import StageError


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
        """The examples of this process: every `size`-th one."""
        return examples[self.rank :: self.size]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """`values` summed over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def most(self, count: int, device: torch.device) -> int:
        """The largest `count` of all processes."""
        if self.size == 1:
            return count
        largest = torch.tensor(count, device=device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            dist.barrier()

    def gather(self, value: object) -> list:
        """`value` of every process, in their order."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

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
    """The processes of this run. It is one where no launcher started it."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return World()
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def sharded() -> bool:
    """Whether AFFINAGE_SHARD asks for a share of the model in each process."""
    return os.environ.get("AFFINAGE_SHARD", "") not in ("", "0")


def shard(model: nn.Module, blocks: nn.ModuleList) -> None:
    """Give each process its share of the parameters (fully_shard, FSDP2). Gradients are then summed where they arise.

    The model gets a method `in_forward`, for work that calls its parts (`runtime.in_forward`).
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for block in [*blocks, model]:
        fully_shard(block)
        block.set_gradient_divide_factor(1.0)
        block.set_force_sum_reduction_for_comms(True)  # gloo can only sum, and nothing is to be divided
    model.in_forward = lambda work: work()
    register_fsdp_forward_method(model, "in_forward")


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Sum whole gradients over the processes. A parameter without one had no share in this process's loss."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for work in [dist.all_reduce(parameter.grad, async_op=True) for parameter in parameters]:
        work.wait()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor of which each process may hold a share. Every process must ask."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def fill(parameter: nn.Parameter, values: torch.Tensor) -> None:
    """Set a parameter, or this process's share of it, to `values` of the whole."""
    with torch.no_grad():
        parameter.copy_(_like(values, parameter))


def optimizer_state(optim: torch.optim.Optimizer) -> dict:
    """The optimizer's state with whole tensors. Every process must ask.

    What was shared out is put together tensor by tensor, in the memory of the machine and for process 0 alone: all of it would
    not fit one GPU. The others get None for it.
    """

    def joined(value):
        if not hasattr(value, "full_tensor"):
            return value
        tensor = value.full_tensor()
        return tensor.cpu() if dist.get_rank() == 0 else None

    return tree_map(joined, optim.state_dict())


def load_optimizer(optim: torch.optim.Optimizer, saved: dict) -> None:
    """Go on from what `optimizer_state` gave."""
    parameters = [parameter for group in optim.param_groups for parameter in group["params"]]
    state = {
        place: {name: _like(value, parameters[place]) for name, value in values.items()}
        for place, values in saved["state"].items()
    }
    optim.load_state_dict(saved | {"state": state})


def _like(values: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    if not hasattr(parameter, "placements") or values.shape != parameter.shape:
        return values
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(values.to(parameter.device), parameter.device_mesh, parameter.placements)

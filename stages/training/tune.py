"""Which parameters learn: all, the top layers, or low-rank adapters."""

import re
import sys
from collections.abc import Mapping
from itertools import chain

import torch
from torch import nn
from transformers import PreTrainedModel

from stages.common.errors import StageError, wording
from stages.common.schema_models import Full, Lora, TopLayers
from stages.models.runtime import blocks


def head(model: PreTrainedModel) -> list[str]:
    """Names of the modules of a classifier that its base may lack: those above the base, and a pooler."""
    base = model.base_model_prefix
    return [name for name, part in model.named_children() if name != base and list(part.parameters())] + [
        name for name, _ in model.named_modules() if name == f"{base}.pooler"
    ]


def prepare(
    model: PreTrainedModel, tune: Full | TopLayers | Lora, seed: int, frozen: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Freeze the parameters that must not learn, and keep them in the dtype `frozen`. A new head always learns.

    For LoRA the returned model is wrapped. `finish` unwraps it.
    """
    model = KINDS[tune.kind](model, tune, seed)
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.dtype is torch.float32:
            parameter.data = parameter.data.to(frozen)
    return model


def _full(model: PreTrainedModel, tune: Full, seed: int) -> PreTrainedModel:
    return model.requires_grad_(True)


def _top_layers(model: PreTrainedModel, tune: TopLayers, seed: int) -> PreTrainedModel:
    """The last blocks learn, and the norm above them."""
    model.requires_grad_(False)
    of_head, layers = _new_head(model), blocks(model)
    if tune.layers > len(layers):
        raise StageError("models.<name>.train.tune.layers", str(tune.layers), f"at most {len(layers)}", "edit params.yaml")
    layers[-tune.layers :].requires_grad_(True)
    others = (layers, model.get_input_embeddings(), None if of_head else model.get_output_embeddings())
    inside = {id(parameter) for module in others if module is not None for parameter in module.parameters()}
    for name, parameter in model.named_parameters():
        new = name.startswith(tuple(f"{module}." for module in of_head))
        norm = parameter.ndim == 1 and "embeddings." not in name
        if id(parameter) not in inside and (new or norm):  # the head of a classifier, and the final norm
            parameter.requires_grad_(True)
    return model


def _lora(model: PreTrainedModel, tune: Lora, seed: int) -> PreTrainedModel:
    """Adapters on every linear layer learn (arXiv 2106.09685)."""
    model.requires_grad_(False)
    of_head = _new_head(model)
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # the adapters' random start
    config = LoraConfig(
        r=tune.rank,
        lora_alpha=tune.alpha,
        lora_dropout=tune.dropout,
        target_modules="all-linear",
        # a head learns as a whole: an adapter alone would leave the random start of its weights behind
        exclude_modules="|".join(rf"{re.escape(name)}(\..*)?" for name in of_head + _routers(model)) or None,
        modules_to_save=of_head or None,
        task_type="SEQ_CLS" if of_head else "CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as refused:
        fix = "set tune: {kind: top_layers, …} or {kind: full}"
        raise StageError("models.<name>.train.tune", wording(refused), "a model that adapters fit", fix) from None
    if alone := _without_adapter(adapted):
        print(f"{len(alone)} matrices inside the blocks get no adapter: {', '.join(alone[:3])}, …", file=sys.stderr)
    return adapted


def _routers(model: PreTrainedModel) -> list[str]:
    """Linear layers that choose experts, and so give more than their product: no adapter fits them."""
    linear = {name: type(part) for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    return [name for name, kind in linear.items() if "Router" in kind.__name__]


def _without_adapter(adapted: nn.Module) -> list[str]:
    """Frozen matrices of blocks beside which nothing learns, such as experts that are kept as one tensor."""
    beside = {name.partition(".lora_")[0] for name in trainable(adapted) if ".lora_" in name}
    frozen = (name for name, weight in adapted.named_parameters() if weight.ndim > 1 and not weight.requires_grad)
    inside = (name for name in frozen if re.search(r"\.\d+\.", name))
    return [name for name in inside if not any(name.startswith(f"{place}.") for place in beside)]


def _new_head(model: PreTrainedModel) -> list[str]:
    """The head of a classifier; a causal model has none of its own."""
    return [] if model.can_generate() else head(model)


KINDS = {"full": _full, "top_layers": _top_layers, "lora": _lora}


def finish(model: PreTrainedModel, tune: Full | TopLayers | Lora) -> PreTrainedModel:
    """A plain model again: adapters are merged into the weights."""
    return model.merge_and_unload() if tune.kind == "lora" else model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def not_numbers(weights: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of those that hold NaN or an infinity. Of weights that are shared out, this process looks at its own share."""
    own = {name: tensor.to_local() if hasattr(tensor, "to_local") else tensor for name, tensor in weights.items()}
    return [name for name, tensor in own.items() if not torch.isfinite(tensor).all()]


def require_numbers(broken: list[list[str]], step: int) -> None:
    """Check that weights are numbers after a step. By its loss a step shows that of the step before.

    Args:
        broken: for each process the names that are `not_numbers`.

    Raises:
        StageError: if there is one.
    """
    if names := sorted({*chain(*broken)}):
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        fix = "lower train.learning_rate, or set train.precision to fp32"
        raise StageError(f"step {step}", f"weights that are no numbers: {some}", "finite weights", fix)


def optimizer(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (arXiv 1711.05101), fused; norms and biases (one dimension) are not decayed.

    It has no learning rate of its own: the loop sets that of each step.
    """
    parameters = list(trainable(model).values())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)


def schedule(kind: str, step: int, steps: int, warmup: float) -> float:
    """The factor of the learning rate at `step` (from 0): linear warm-up to 1, then linear, cosine or no decay."""
    from math import cos, pi

    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return {"linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2, "constant": 1.0}[kind]

"""The ways of Hugging Face's transformers to answer many prompts, each set up as an expert would. See generate.py.

Each takes a model, prompts and settings, and returns the new tokens of every prompt. Padding is on the left.
"""

from contextlib import contextmanager

from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedModel

from stages.decoding.causal import batch_answers

Tokens = list[list[int]]
BATCH = 32


def dynamic(model: PreTrainedModel, prompts: Tokens, settings: GenerationConfig) -> Tokens:
    """`generate` with all prompts at once. Keys and values grow with the answers."""
    return _generate(model, prompts, settings)


def static(model: PreTrainedModel, prompts: Tokens, settings: GenerationConfig) -> Tokens:
    """`generate` with all prompts at once and a cache of fixed size: on a GPU transformers compiles the step itself."""
    return _generate(model, prompts, settings, cache_implementation="static")


def batches(model: PreTrainedModel, prompts: Tokens, settings: GenerationConfig) -> Tokens:
    """`generate` with a few prompts of like length at a time."""
    answers = {}
    for group in batch_answers.groups(prompts, BATCH, max(map(len, prompts))):
        answers.update(zip(group, _generate(model, [prompts[i] for i in group], settings), strict=True))
    return [answers[i] for i in range(len(prompts))]


def continuous(model: PreTrainedModel, prompts: Tokens, settings: GenerationConfig) -> Tokens:
    """`generate_batch`: continuous batching with pages of keys and values. What it sets up is kept for the next call.

    It takes flash attention itself, where that is installed.
    """
    results = model.generate_batch(
        inputs=prompts,
        generation_config=settings,
        continuous_batching_config=ContinuousBatchingConfig(max_memory_percent=0.5, allow_block_sharing=False),
        persistent_manager=True,
    )
    answers = [result.generated_tokens for result in results.values()]
    failed = next((result.error for result in results.values() if result.error), None)
    if failed or [*map(len, answers)] != [settings.max_new_tokens] * len(prompts):
        raise RuntimeError(f"generate_batch has not answered every prompt: {failed or sorted({*map(len, answers)})}")
    return answers


PEERS = {"static": static, "dynamic": dynamic, "batches": batches, "continuous": continuous}


def _generate(model: PreTrainedModel, prompts: Tokens, settings: GenerationConfig, **options) -> Tokens:
    ids, mask = batch_answers._padded(prompts, model.device)
    whole = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings, **options)
    return whole[:, ids.shape[1] :].tolist()


@contextmanager
def released(model: PreTrainedModel):
    """Let go of what a peer has kept for its next call."""
    try:
        yield
    finally:
        if hasattr(model, "_cached_continuous_batching_manager"):
            model.destroy_cached_continuous_batching_manager()

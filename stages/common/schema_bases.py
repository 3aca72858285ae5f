"""Parameters of bases, with their types, units and legal values."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.sections import Commit, Section, Sha256


class WheelBase(Section):
    """Weights carried in a PyPI wheel."""

    kind: Literal["wheel"]
    package: str  # its name on PyPI
    version: str
    sha256: Sha256  # of the wheel
    path: str  # in the wheel: a GGUF file, or a directory of Hugging Face files
    architecture: Literal["causal", "encoder"]  # writes text, or reads it


class HubBase(Section):
    """A model of the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str  # owner/name
    revision: Commit | Literal["newest"]  # newest: the stage names today's commit, and asks for it to be written here
    architecture: Literal["causal", "encoder"]  # writes text, or reads it


class HostedBase(Section):
    """A model that a provider serves; nothing is downloaded."""

    kind: Literal["hosted"]
    provider: Literal["openai", "ollama"]
    base_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#@]*)?)?$")]  # "": the provider's own; holds no key
    model: str


Base = Annotated[WheelBase | HubBase | HostedBase, Field(discriminator="kind")]

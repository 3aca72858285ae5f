"""What every section of `params.yaml` is made of: a strict mapping, and the common ranges of numbers."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _plain(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise ValueError("lower-case letters, digits and _, a letter first; at most 100 in all")
    return name


Name = Annotated[str, AfterValidator(_plain)]  # of a source or a judge: a folder or a column, and within reach of DVC's `-S`
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy and scikit-learn take
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # tags and branches move


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

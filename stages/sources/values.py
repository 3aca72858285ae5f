"""Values as JSON holds them, whatever the file that they come from."""

import datetime
import decimal
import math
import uuid


def json_value(value: object) -> object:
    """The value as strict JSON can hold it.

    NaN is nothing (None), as exporters write missing numbers; infinities become text; dates, times, decimals and UUIDs
    their usual text.

    Raises:
        TypeError: for what has no such form: bytes, a mapping whose keys are not text; its message is the type's name.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    raise TypeError(type(value).__name__)

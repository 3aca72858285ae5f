"""How labelled rows are divided."""

PARTS = ("train", "validation", "test")

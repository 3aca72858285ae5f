"""A campaign of faults against what is promised: `python -m campaign` prints promise, how it is tested and the figure."""

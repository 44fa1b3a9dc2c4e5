"""Ratios against peers, measured side by side: `make bench`.

One module asks one question: its `comparisons(folder)` yields pairs of commands, and `QUESTIONS` in
`__main__` lists it. `meter` runs one command, `comparison` two in turn, `results` shows them.
Nothing here is a test: timings are reported beside their goals, never asserted.
"""

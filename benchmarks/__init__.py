"""Ratios against peers, measured side by side: `make bench`.

One module asks one question; `QUESTIONS` in `__main__` lists them. Nothing here is a test: timings
are reported beside their goals, never asserted.
"""

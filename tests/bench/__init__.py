"""The benchmark: what pgcraft_django costs, measured side by side with what it is measured against.

    python -m tests.bench [api] [migrations] [startup] [--quick] [--runs N]

Both sides of a figure run alternately in one run, so that what else the machine does slows down both. Results go to
`.bench/results.json` and `.bench/results.md`; the exit status is 1 if a figure misses its bound.
"""

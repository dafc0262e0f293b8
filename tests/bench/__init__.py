"""The benchmark: what pgcraft_django costs, measured side by side with what it is measured against.

    make bench ARGS="history ledger --runs 21"
    .venv/bin/python -m tests.bench [PART ...] [--quick] [--runs N]

Both sides of a figure run alternately in one run, so that what else the machine does slows down both. A figure is the
median of the ratios of neighbours, and its spread is the middle half of them. Results go to `.bench/results.json` and
`.bench/results.md`; the exit status is 1 if a figure misses its bound. `--quick` shows that all parts run, with sizes
too small to judge by: it has no verdict.
"""

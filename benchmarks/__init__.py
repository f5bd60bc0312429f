"""Speed, measured: `python -m benchmarks` runs all, `python -m benchmarks scan` one; results are JSON in `results/`."""

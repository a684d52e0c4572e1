"""Performance as ratios against baselines of the same run: `python -m bench`. What it measures and found is in docs/benchmarks.md."""

"""What is as fast as the machine allows, and what is not: `python -m benchmarks.speed`."""

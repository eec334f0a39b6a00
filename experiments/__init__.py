"""Studies behind the weights in the package."""

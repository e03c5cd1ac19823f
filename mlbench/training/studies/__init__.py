"""Studies: what a way to train does, over a grid, seeds and tasks, and what is shown of it."""

"""Models held against each other, and the regression check."""

"""Training sets, batches of mixed languages, trainers, and the studies made of them."""

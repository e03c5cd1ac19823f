"""The leaderboard: entries with their evidence, how they are checked, and the page made of them."""

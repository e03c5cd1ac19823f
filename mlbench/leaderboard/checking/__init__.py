"""What may come into a leaderboard: entries made, folders validated, records kept."""

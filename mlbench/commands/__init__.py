"""What each command of the command line does: it calls and prints."""

"""What is wrong with a system, and what to do: one file for each part that is looked at."""

"""Input to try the system with: real departures of 2013, and generated plays of music."""

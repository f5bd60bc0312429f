"""One file for each scenario: `run(stage)` does it and says what it measured."""

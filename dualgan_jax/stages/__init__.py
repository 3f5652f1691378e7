"""The stages: each makes a state and one pure step, and says what to log."""

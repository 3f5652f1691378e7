"""The stages: each makes a first state and a pure step, with its metrics."""

"""Data-free knowledge amalgamation with a group-stack dual GAN."""

from dualgan_jax.experiment import dry_run, run

__all__ = ['dry_run', 'run']

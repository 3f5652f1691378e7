"""Data-free knowledge amalgamation with a group-stack dual GAN."""

from dualgan_jax.experiment import run

__all__ = ['run']

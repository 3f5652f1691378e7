"""Counts what a student's training consists of."""

from dualgan_jax.config.fields import Experiment


def num_student_steps(config: Experiment) -> int:
  """Counts the optimiser's steps of the compact student, in all stages.

  Stage `dual` trains one block at a time; as many steps as it has blocks count
  as one step of the whole student.

  Args:
    config: a checked config.
  """
  refine = config.refine
  return (
    config.dual.steps
    + config.targetnet.compact_steps
    + refine.steps * (1 + refine.replay_steps)
  )


def num_generated_images(config: Experiment) -> int:
  """Counts the generated images that the compact student learns from.

  Images that are replayed, as they are or changed, count once.

  Args:
    config: a checked config whose batches are numbers above 0.
  """
  dual, targetnet, refine = config.dual, config.targetnet, config.refine
  return (
    len(config.student.widths) * dual.steps * dual.batch
    + targetnet.compact_steps * targetnet.batch
    + refine.steps * refine.batch
  )

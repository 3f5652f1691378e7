"""Calibrates the trained students on generated images."""

import dataclasses

import jax
import numpy as np

from dualgan_jax.experiment.outcomes import Model, Students
from dualgan_jax.student import temperature

# The students that people take away.
_NAMES = ('compact', 'branched')


def calibrate(
  students: Students,
  images: np.ndarray,
  ensemble_logits: np.ndarray,
  *,
  single_label: bool,
  distilled_at: float,
) -> tuple[Students, dict[str, float]]:
  """Chooses a temperature for the students that people take away.

  Distillation at a temperature of 1 has matched student and teachers as they
  answer, so its students stay as they are.

  Args:
    students: outcome of `refine`.
    images: generated, [N, height, width, channels].
    ensemble_logits: the teachers' of these images, [N, L].
    single_label: whether the students end in a softmax.
    distilled_at: temperature of the distillation.

  Returns:
    The students, `compact` and `branched` with their temperatures, and these by
    name of the model.
  """
  models, temperatures = dict(students.models), {}
  if distilled_at == 1:
    return students, {name: 1.0 for name in _NAMES if name in models}
  for name in _NAMES:
    if name not in models:
      continue
    model = models[name]
    logits = jax.jit(model.answer)(model.variables, images)
    temperatures[name] = temperature.choose_temperature(
      np.asarray(logits),
      ensemble_logits,
      single_label=single_label,
      # Answers that match at 3 are too flat by a factor of 3 at most: images
      # that are unlike real ones must not lead further.
      bounds=(min(1, 1 / distilled_at), max(1, 1 / distilled_at)),
    )
    models[name] = (
      dataclasses.replace(
        model,
        variables=temperature.divide_head(model.variables, temperatures[name]),
      )
      if name == 'compact'
      # Blocks of teachers have no head of a known form.
      else _divided(model, temperatures[name], single_label=single_label)
    )
  return dataclasses.replace(students, models=models), temperatures


def _divided(model: Model, degree: float, *, single_label: bool) -> Model:
  """Makes a model whose logits are divided by a temperature."""

  def apply(variables, images, *, train):
    logits, updates = model.apply(variables, images, train=train)
    return (
      temperature.divide_logits(logits, degree, single_label=single_label),
      updates,
    )

  return Model(apply, model.variables)

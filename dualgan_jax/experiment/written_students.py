"""Writes the folders that people take away from a run."""

from collections.abc import Mapping
from typing import Any

from dualgan_jax.errors import UserError
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import Students, Teachers
from dualgan_jax.reporting import diagnosis
from dualgan_jax.student import student
from dualgan_jax.student.model_card import CardFacts, Evaluation
from dualgan_jax.training import console


def write(
  context: RunContext,
  teachers: Teachers,
  students: Students,
  results: Mapping[str, Any],
) -> None:
  """Writes the folders `student` and, if there is one, `branched`.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    students: outcome of `refine`, calibrated.
    results: content of `results.json`.
  """
  config, folder = context.config, context.workdir.path
  single_label = context.nets.student.single_label
  # A folder that is copied away must still say which run it comes from.
  origin = {key: results[key] for key in ('experiment', 'objective', 'seed')}
  temperatures = results['temperatures']
  common_arguments = {
    'labels': config.labels,
    'image_shape': config.image_shape,
  }
  origin |= results['versions']
  # Versions without `hidden_widths` read the folders that do not need it.
  unneeded = set() if config.student.hidden_widths else {'hidden_widths'}
  # The compact net is one of ours, so its folder needs no exported code.
  student.write(
    folder / 'student',
    students.models['compact'].variables,
    net={
      **config.student.model_dump(exclude=unneeded),
      'single_label': single_label,
    },
    origin=origin | {'temperature': temperatures['compact']},
    card_facts=_gather_card_facts(context, teachers, results),
    **common_arguments,
  )
  if 'branched' not in students.models:
    return
  # The branched net holds blocks of teachers, which may be a user's code, so
  # it is exported as a program.
  branched_model = students.models['branched']
  try:
    student.write_program(
      folder / 'branched',
      branched_model.answer,
      branched_model.variables,
      net={
        'kind': 'branched',
        'points': students.branch_points,
        'single_label': single_label,
      },
      origin=origin | {'temperature': temperatures['branched']},
      **common_arguments,
    )
  # A teacher whose code cannot be exported costs no other result.
  except UserError as error:
    console.say(f'evaluate: {error}')


def _gather_card_facts(
  context: RunContext,
  teachers: Teachers,
  results: Mapping[str, Any],
) -> CardFacts:
  """Gathers what the student's model card says of the run."""
  student_scores = results['metrics']['compact']
  intervals = results['intervals'].get('compact', {})
  return CardFacts(
    teachers={
      teacher.name: teacher.labels for teacher in teachers.relevant_teachers
    },
    evaluation=Evaluation(
      num_images=sum(count['test'] for count in results['images'].values()),
      scores={
        metric: (student_scores[metric], *interval)
        for metric, interval in intervals.items()
      },
      teachers={
        metric: results['metrics']['teachers'][metric] for metric in intervals
      },
    ),
    verdict=diagnosis.verdict_line(results),
    oracle=context.config.objective.oracle,
  )

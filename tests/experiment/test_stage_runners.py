"""The method on one page; what its stages do is in `test_run`."""

from dualgan_jax.config import stage_table
from dualgan_jax.experiment import stage_runners
from dualgan_jax.experiment.context import LastStageDone


class _Recorder:
  """Records the stages that are run, up to a last one."""

  def __init__(self, last_stage='evaluate'):
    self.last_stage, self.stages, self.inputs = last_stage, [], {}

  def run_stage(self, stage, work, *inputs):
    self.stages.append(stage)
    self.inputs[stage] = inputs
    if stage == self.last_stage:
      raise LastStageDone
    return f'outcome of {stage}'


def test_all_stages_of_the_table_run_in_its_order():
  recorder = _Recorder()
  stage_runners.run_stages(recorder)
  assert tuple(recorder.stages) == stage_table.NAMES


def test_a_run_ends_with_the_stage_that_is_asked_for():
  recorder = _Recorder('dual')
  stage_runners.run_stages(recorder)
  assert recorder.stages == ['pretrain', 'generator', 'dual']


def test_stages_get_what_earlier_stages_return():
  recorder = _Recorder()
  stage_runners.run_stages(recorder)
  teachers, generator = 'outcome of pretrain', 'outcome of generator'
  assert recorder.inputs['dual'] == (teachers, generator)
  # Those that were refined are measured.
  assert recorder.inputs['evaluate'] == (
    *(teachers, generator, 'outcome of refine', 'outcome of baselines'),
  )

"""What is said before a run: work, time, devices, and a drawing of the nets."""

import dataclasses
import re

import jax
import pytest

from dualgan_jax.config import schema
from dualgan_jax.experiment import net_costs, net_drawing, run_plan, workload
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.presets import digits


@pytest.fixture(scope='module')
def smoke():
  """The nets and the config of a smoke run."""
  config = digits.get_config('smoke')
  config.baselines.enabled = True
  config.pretrain.teacher_data = 'own'  # then a short training may route
  config = schema.check(config)
  return build_nets(config), config


def _count_flops(nets, config):
  """Counts the FLOPs of all phases."""
  return workload.estimate_phases(
    nets, config, net_costs.count_flops(nets, config)
  )


def test_flops_are_about_those_of_the_compiled_steps():
  # docs/performance.md: GFLOP of one step of `digits`, as XLA counts them.
  expected = {
    'pretrain/high': (0.4836, 600),
    'generator/train': (3.428, 1000),
    'dual/block_1': (1.844, 200),
    'dual/block_3': (0.9914, 200),
    'targetnet/compact': (1.081, 1800),
    'targetnet/branched': (1.68, 600),
    'refine': (3.152, 1000),
  }
  config = schema.check(digits.get_config())
  flops = _count_flops(build_nets(config), config)
  for phase_name, (step_gflop, num_steps) in expected.items():
    assert flops[phase_name] == pytest.approx(
      1e9 * step_gflop * num_steps, rel=0.2
    ), phase_name


def test_phases_are_those_of_a_run_in_their_order(smoke):
  assert list(_count_flops(*smoke)) == [
    *('pretrain/high', 'pretrain/low'),
    *('generator/probe', 'generator/misfit', 'generator/train'),
    *('dual/block_1', 'dual/block_2', 'dual/block_3'),
    *('targetnet/branch_points', 'targetnet/compact', 'targetnet/branched'),
    *('refine', 'refine/branched', 'baselines/noise', 'baselines/real_data'),
  ]


def test_stages_without_steps_and_routed_images_cost_less():
  generator_flops = {}
  for routing in ('on', 'off'):
    config = digits.get_config('smoke')
    config.objective.routing = routing
    config.dual.steps = config.refine.steps = 0
    config.baselines.enabled = False
    checked_config = schema.check(config)
    flops = _count_flops(build_nets(checked_config), checked_config)
    assert list(flops)[2:] == ['generator/train', 'targetnet/compact']
    generator_flops[routing] = flops['generator/train']
  assert generator_flops['on'] < generator_flops['off']


def test_seconds_are_those_of_each_net_times_its_passes(smoke):
  nets, config = smoke
  flops = net_costs.count_flops(nets, config)
  # A generator that takes no time, and all else at 1 FLOP per second.
  costs = flops._replace(generator=0.0)
  work = workload.estimate_phases(nets, config, costs)
  num_images = config.pretrain.steps * config.pretrain.batch
  assert work['pretrain/high'] == pytest.approx(
    3 * num_images * flops.teachers['high'].after(0)
  )
  whole = workload.estimate_phases(nets, config, flops)
  num_images = config.generator.steps * config.generator.batch
  assert whole['generator/train'] - work['generator/train'] == pytest.approx(
    3 * num_images * flops.generator
  )


def test_parts_of_a_net_share_its_seconds_as_they_share_its_flops(smoke):
  flops = net_costs.count_flops(*smoke)
  seconds = net_costs.measure_seconds(*smoke, jax.devices()[:1])
  assert seconds.generator > 0
  assert seconds.teachers.keys() == flops.teachers.keys()
  # Both teachers are of one net, which is timed once.
  assert seconds.teachers['high'] == seconds.teachers['low']
  student_shares, expected_shares = (
    [part / costs.student.after(0) for part in costs.student.blocks]
    for costs in (seconds, flops)
  )
  assert student_shares == pytest.approx(expected_shares)


@pytest.mark.parametrize(
  ('forward_seconds', 'text'),
  [
    (10.0, 'less than a minute'),
    (60.0, 'about 1 to 4 minutes'),
    (1200.0, 'about 24 to 60 minutes'),
    (36000.0, 'about 12 to 30 hours'),
  ],
)
def test_time_is_a_range(forward_seconds, text):
  # A training takes 1.2 to 3 times as long as its forward passes.
  assert run_plan.describe_time(forward_seconds) == text


def test_a_dry_run_tells_devices_memory_routing_and_time(smoke):
  lines = run_plan.describe_plan(*smoke, jax.devices()[:2], ['pretrain'])
  text = '\n'.join(lines)
  assert re.match(r'devices: 2 × CPU; measured speed [\d.,]+ GFLOP/s\n', text)
  assert 'GB per device in refine' in text
  assert 'routing: not known yet' in text
  assert any(line.endswith('done |') for line in text.splitlines())
  assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
  ('routing', 'teacher_data', 'line'),
  [
    ('on', 'own', 'routing: on, each image belongs to one teacher'),
    ('off', 'own', 'routing: off'),
    ('auto', 'own', 'routing: not known yet, a short training of stage '),
    ('auto', 'shared', 'routing: off; all teachers learned from the same '),
  ],
)
def test_a_dry_run_says_why_images_are_routed(
  smoke, routing, teacher_data, line
):
  nets, _ = smoke
  config = digits.get_config('smoke')
  config.objective.routing = routing
  config.pretrain.teacher_data = teacher_data
  text = run_plan._describe_routing(nets, schema.check(config))
  assert f'routing: {text}'.startswith(line)


def test_a_run_tells_what_is_done_and_what_is_to_do(smoke):
  stages = ('refine', 'evaluate')
  devices = jax.devices()[:1]
  outlook = run_plan.make_outlook(*smoke, devices, stages)
  lines = run_plan.describe_run(*smoke, devices, '/runs/x', stages, outlook)
  assert lines[1:4] == [
    'folder:   /runs/x',
    'not now:  pretrain, generator, dual, targetnet, baselines',
    'to do:    refine, evaluate',
  ]
  assert lines[4] == (
    'expected: less than a minute; compiling 2 programs comes on top'
  )


def test_nets_are_drawn_side_by_side(smoke):
  lines = net_drawing.draw(*smoke)
  assert max(map(len, lines)) <= 80
  assert lines[0].split('  ')[0] == 'teacher 1 of 2: high'
  shapes = [' '.join(line.split()) for line in lines if '↓' in line]
  assert shapes == [
    '↓ image 16×16×1 ↑ image 16×16×1 ↓ image 16×16×1',
    '↓ 8×8×8 ↑ F_g^2 8×8×8 ↓ 8×8×8',
    '↓ 4×4×8 ↑ F_g^1 4×4×8 ↓ 4×4×8',
    '↓ 4×4×16 ↑ noise z 64 ↓ 4×4×16',
    '↓ 5 labels ↓ 10 labels',
  ]


def test_a_long_name_in_the_drawing_is_cut_and_marked(smoke):
  nets, config = smoke
  teacher = dataclasses.replace(nets.teachers['low'], name='client_number_12')
  for num_teachers, title in (
    (1, 'teacher client_number_12'),
    (100, 'teacher 1 of 100: client…'),
  ):
    teachers = dict.fromkeys(range(num_teachers), teacher)
    lines = net_drawing.draw(
      dataclasses.replace(nets, teachers=teachers), config
    )
    assert lines[0].split('  ')[0] == title

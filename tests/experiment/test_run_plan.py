"""What is said before a run: work, time, devices, and a drawing of the nets."""

import jax
import pytest

from dualgan_jax.config import schema
from dualgan_jax.experiment import net_drawing, run_plan, workload
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.presets import digits


@pytest.fixture(scope='module')
def smoke():
  """The nets and the config of a smoke run."""
  config = digits.get_config('smoke')
  config.baselines.enabled = True
  config = schema.check(config)
  return build_nets(config), config


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
  flops = workload.count_flops(build_nets(config), config)
  for phase_name, (step_gflop, num_steps) in expected.items():
    assert flops[phase_name] == pytest.approx(
      1e9 * step_gflop * num_steps, rel=0.2
    ), phase_name


def test_phases_are_those_of_a_run_in_their_order(smoke):
  assert list(workload.count_flops(*smoke)) == [
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
    flops = workload.count_flops(build_nets(checked_config), checked_config)
    assert list(flops)[2:] == ['generator/train', 'targetnet/compact']
    generator_flops[routing] = flops['generator/train']
  assert generator_flops['on'] < generator_flops['off']


@pytest.mark.parametrize(
  ('flops', 'text'),
  [
    (10.0, 'less than a minute'),
    (60.0, 'about 1 to 4 minutes'),
    (1200.0, 'about 25 to 67 minutes'),
    (36000.0, 'about 12 to 33 hours'),
  ],
)
def test_time_is_a_range(flops, text):
  # At 1 FLOP/s, of which a training reaches 0.3 to 0.8.
  assert run_plan.describe_time(flops, 1.0) == text


def test_a_dry_run_tells_devices_memory_routing_and_time(smoke):
  lines = run_plan.describe_plan(*smoke, jax.devices()[:2], ['pretrain'])
  text = '\n'.join(lines)
  assert text.startswith('devices: 2 × CPU, ')
  assert 'GB per device in refine' in text
  assert 'routing: not known yet' in text
  assert any(line.endswith('done |') for line in text.splitlines())
  assert max(map(len, text.splitlines())) <= 80


def test_a_run_tells_what_is_done_and_what_is_to_do(smoke):
  stages = ('refine', 'evaluate')
  outlook = run_plan.make_outlook(*smoke, stages)
  lines = run_plan.describe_run(
    *smoke, jax.devices()[:1], '/runs/x', stages, outlook
  )
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
  shapes = [' '.join(line.split()) for line in lines if '↓' in line]
  assert shapes == [
    '↓ image 16×16×1 ↑ image 16×16×1 ↓ image 16×16×1',
    '↓ 8×8×8 ↑ F_g^2 8×8×8 ↓ 8×8×8',
    '↓ 4×4×8 ↑ F_g^1 4×4×8 ↓ 4×4×8',
    '↓ 4×4×16 ↑ noise z 64 ↓ 4×4×16',
    '↓ 5 labels ↓ 10 labels',
  ]

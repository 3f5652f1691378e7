"""PyTorch's step has the loss and the gradient of ours."""

import os

import jax
import numpy as np
import pytest

from dualgan_jax.method import frozen_generator
from dualgan_jax.presets import digits
from dualgan_jax.stages import generator
from dualgan_jax.training import parallel
from experiments import peer_comparison, peer_program

pytestmark = pytest.mark.torch


def _first_noise(config, state):
  """Draws the noise of the first step."""
  devices = jax.local_devices()[:1]
  draw_noise = parallel.compile_step(
    lambda key, step: (
      step,
      frozen_generator.draw_latents(
        jax.random.fold_in(key, step),
        config.generator.batch,
        config.generator.latent_dim,
      ),
    ),
    devices,
  )
  key, step = (
    parallel.replicate(value, devices) for value in (state.key, state.step)
  )
  return parallel.first_replica(draw_noise(key, step)[1])


@pytest.mark.parametrize('form', peer_program.FORMS)
def test_the_same_loss_and_the_same_gradient(form):
  import torch

  config = digits.get_config('smoke')
  config.objective.beta = 0.7
  config.objective.bn_prior_weight = 0.3
  peer_stage = peer_program.build_peer_stage(config, form)
  _, phase, state = peer_program.build_generator_phase(
    config, jax.local_devices()[:1]
  )
  noise = _first_noise(config, state)

  devices = jax.local_devices()[:1]
  step = parallel.compile_step(phase.step, devices)
  next_state, metrics = step(
    parallel.replicate(phase.frozen(), devices),
    parallel.replicate(state, devices),
  )
  peer_loss = peer_stage(torch.from_numpy(np.array(noise)))
  our_loss = parallel.first_replica(metrics)['loss']
  np.testing.assert_allclose(peer_loss.item(), our_loss, rtol=1e-4)

  # The mean's share of Adam's first step is its gradient.
  peer_loss.backward()
  moments = parallel.first_replica(next_state).opt_state[0].mu
  our_moment = moments['generator']['group_3']['Conv_1']['kernel']
  peer_kernel = peer_stage.groups[2].conv_2.weight
  peer_gradient = peer_kernel.grad.permute(2, 3, 1, 0).numpy()
  np.testing.assert_allclose(
    peer_gradient * (1 - generator.ADAM_B1), our_moment, rtol=1e-3, atol=1e-6
  )


@pytest.mark.slow
def test_each_program_is_timed_in_a_process_of_its_own():
  programs = (peer_program.OURS, 'PyTorch, ladder, channels_last')
  figures = peer_comparison.compare_steps(
    'digits:smoke',
    repeats=1,
    cores=[min(os.sched_getaffinity(0))],
    programs=programs,
  )
  assert tuple(figures) == programs
  assert figures[peer_program.OURS]['against_ours'] == 1
  assert all(row['ms'] > 0 for row in figures.values())

"""PyTorch's step is the one that we measure against."""

import jax
import numpy as np
import pytest

from dualgan_jax.method import frozen_generator
from dualgan_jax.presets import digits
from dualgan_jax.stages import generator
from dualgan_jax.training import parallel
from experiments import benchmark

pytestmark = pytest.mark.torch


def _first_noise(config, state):
  devices = jax.local_devices()[:1]
  draw = parallel.compile_step(
    lambda key, step: (
      step,
      frozen_generator.draw_latents(
        jax.random.fold_in(key, step),
        config.generator.batch,
        config.generator.noise,
      ),
    ),
    devices,
  )
  key, step = (parallel.replicate(x, devices) for x in (state.key, state.step))
  return parallel.first_replica(draw(key, step)[1])


@pytest.mark.parametrize('form', ['ladder', 'one pass per group'])
def test_the_same_loss_and_the_same_gradient(form):
  import torch

  config = digits.get_config('smoke')
  config.objective.beta = 0.7
  config.objective.prior = 0.3
  state, phase, stages = benchmark.peers(config)
  z = _first_noise(config, state)

  devices = jax.local_devices()[:1]
  step = parallel.compile_step(phase.step, devices)
  after, metrics = step(
    *(parallel.replicate(x, devices) for x in (phase.frozen(), state))
  )
  loss = stages[form](torch.from_numpy(np.array(z)))
  ours = parallel.first_replica(metrics)['loss']
  np.testing.assert_allclose(loss.item(), ours, rtol=1e-4)

  # The mean's share of Adam's first step is its gradient.
  loss.backward()
  moments = parallel.first_replica(after).opt_state[0].mu
  ours = moments['generator']['group_3']['Conv_1']['kernel']
  theirs = stages[form].groups[2].conv_2.weight.grad.permute(2, 3, 1, 0)
  np.testing.assert_allclose(
    theirs.numpy() * (1 - generator.ADAM_B1), ours, rtol=1e-3, atol=1e-6
  )

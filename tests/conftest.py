"""Every test sees 8 simulated CPU devices."""

import jax

jax.config.update('jax_num_cpu_devices', 8)
# A forgotten axis must not broadcast its way through a test.
jax.config.update('jax_numpy_rank_promotion', 'raise')

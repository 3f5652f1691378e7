"""The losses of the method, one pure function per equation.

Equation numbers are those of Ye et al., "Data-Free Knowledge Amalgamation via
Group-Stack Dual-GAN", CVPR 2020 (arXiv 2003.09088). N is the batch, L any
number of labels, M the teachers, B the blocks, σ the sigmoid.

Answers are logits: log-sigmoid forms keep values and gradients finite for any
finite logit. Logarithms are natural, except in form 'dafl'. A loss that is not
linear in a batch mean takes the mean as an argument, so that a caller on
several devices can reduce it first; all others average over their batch, and
their mean over equal shares of a batch is their value on the whole.

`generator_terms` has the paper's losses of the generator, `added_terms` what is
added to them, and `student_terms` the losses of teachers and students.
"""

from dualgan_jax.losses.added_terms import (
  ADDED_TERMS,
  AddedTerm,
  GeneratedBatch,
  Moments,
  mean_statistics_prior,
  statistics_prior,
)
from dualgan_jax.losses.generator_terms import (
  ENTROPY_FORMS,
  activation,
  consistency,
  disagreement,
  discrete,
  gan,
  information_entropy,
  joint,
  label_mean,
  one_class,
  one_hot,
  pseudo_labels,
)
from dualgan_jax.losses.student_terms import (
  class_distillation,
  cross_entropy,
  distillation,
  dual,
  dual_block,
  dual_streams,
)

__all__ = [
  'ADDED_TERMS',
  'ENTROPY_FORMS',
  'AddedTerm',
  'GeneratedBatch',
  'Moments',
  'activation',
  'class_distillation',
  'consistency',
  'cross_entropy',
  'disagreement',
  'discrete',
  'distillation',
  'dual',
  'dual_block',
  'dual_streams',
  'gan',
  'information_entropy',
  'joint',
  'label_mean',
  'mean_statistics_prior',
  'one_class',
  'one_hot',
  'pseudo_labels',
  'statistics_prior',
]

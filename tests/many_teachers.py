"""Builds tiny teachers of one net, as steps can draw them."""

from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers.teacher import from_classifier
from tests import tiny

# Labels of all teachers, or those that follow one another.
_LABELS = tuple('abcdefghijkl')


def of_net(net, labels, first_seed=1):
  """Builds a teacher of a net for each name and its labels."""
  return tuple(
    from_classifier(name, teacher_labels, net, tiny.variables_of(net, seed))
    for seed, (name, teacher_labels) in enumerate(
      labels.items(), start=first_seed
    )
  )


def build(num_teachers, *, disjoint=False, single_label=None):
  """Builds teachers and their label map.

  Those with the same three labels end in a softmax, unless told otherwise;
  `disjoint` ones have two independent labels each.
  """
  labels = {
    f'teacher_{number}': _LABELS[2 * number : 2 * number + 2]
    if disjoint
    else _LABELS[:3]
    for number in range(num_teachers)
  }
  if single_label is None:
    single_label = not disjoint
  net = tiny.net((4, 6, 8), 2 if disjoint else 3, single_label=single_label)
  label_map = LabelMap.create(
    labels, _LABELS[: 2 * num_teachers] if disjoint else _LABELS[:3]
  )
  return of_net(net, labels), label_map

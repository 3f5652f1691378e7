"""Files of torch.export become teachers, without PyTorch."""

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import exported_teacher, forward, protocol
from dualgan_jax.teachers.torch_export import exported_net
from tests import torch_exports
from tests.paths import FILES
from tests.teachers.exported_files import (
  NEWEST,
  change_member,
  change_node,
  make_teacher,
  refuse,
)


@pytest.mark.parametrize('version', torch_exports.FILES_BY_VERSION)
def test_files_of_versions_a_year_apart_give_their_logits(version):
  net = exported_net.read(FILES / torch_exports.FILES_BY_VERSION[version])
  assert net.torch_version.startswith(version)
  assert net.image_shape == (8, 8, 3)
  images, logits = net.example
  assert np.ptp(logits) > 0.1  # there is something to compare
  functions, variables = net.cut(net.choose_cuts())
  features = images
  for function, part in zip(functions, variables, strict=True):
    features = jax.jit(function)(part, features)
  np.testing.assert_allclose(features, logits, rtol=1e-5, atol=1e-5)


def test_a_teacher_keeps_to_the_protocol_and_shows_its_batch_norms():
  teacher = make_teacher(mean=(0.5, 0.4, 0.3), std=(0.25,), name='mine')
  protocol.check_teacher('f', teacher, (8, 8, 3))
  assert (teacher.name, teacher.image_shape) == ('mine', (8, 8, 3))
  images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 3))
  # The images', the stem's, and one per unit; each sees the image's rows alone.
  moments = forward.ladder(teacher, images, {}).moments
  assert len(moments) == 5
  stem = teacher.variables[0]['params']['stem']['0']
  mean = np.array([0.5, 0.4, 0.3], np.float32).reshape(1, 1, 1, 3)
  shown = (images - mean) / 0.25
  convolved = jax.lax.conv_general_dilated(
    shown.transpose(0, 3, 1, 2), stem['weight'], (1, 1), 'SAME'
  )
  np.testing.assert_allclose(
    moments[0].mean, shown.mean((0, 1, 2)), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    moments[1].mean,
    convolved.mean((0, 2, 3)) + stem['bias'],
    rtol=1e-4,
    atol=1e-5,
  )


def test_features_may_enter_after_any_block():
  teacher = make_teacher()
  images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
  features = teacher.blocks[0](teacher.variables[0], images)
  assert features.shape == (2, 8, 8, 4)
  ladder = forward.ladder(teacher, images, {1: features})
  np.testing.assert_allclose(ladder.entries[1], ladder.image, rtol=1e-4)


def test_it_is_cut_at_the_last_place_of_each_size():
  net = exported_net.read(NEWEST)
  cuts = net.choose_cuts()
  # After layer1, after the shuffle, and after the norm.
  assert [cut.image_size for cut in cuts] == [(8, 8), (4, 4), (3, 3)]
  assert net.steps[cuts[0].end - 1].node.modules[0] == 'layer1'
  assert net.steps[cuts[2].end - 1].node.modules == ('norm',)


def test_the_user_may_name_other_places():
  teacher = make_teacher(cut_after=('layer1.0', 'layer2', 'norm'))
  assert forward.feature_shapes(teacher, (8, 8, 3)) == [
    (8, 8, 4),
    (4, 4, 6),
    (3, 3, 6),
  ]
  whole, images = make_teacher(), np.ones((2, 8, 8, 3), np.float32)
  np.testing.assert_allclose(
    forward.tail(teacher, teacher.variables, images, 0),
    forward.tail(whole, whole.variables, images, 0),
    rtol=1e-4,
  )


def test_blocks_may_be_merged():
  merged = make_teacher(merge=(1,))
  assert [*map(len, (merged.blocks, merged.variables))] == [2, 3]
  refuse(NEWEST, 'merge: there is no block after block 3 of 3', merge=(3,))


@pytest.mark.parametrize(
  ('cut_after', 'message'),
  [
    ('layer1', "cut_after: 'layer1', but a teacher has at least two blocks"),
    (('layer1', 'layer9'), "'layer9' is no module that computes"),
    (('layer1', 'layer2.0.shortcut'), 'a connection led around it; .*layer1'),
    (('layer1', 'layer1.1'), 'layer1, layer1.1 end at the same place'),
    (('layer1', 'fc'), "'fc' gives the logits; name others"),
  ],
)
def test_a_place_that_is_none_is_refused(cut_after, message):
  refuse(NEWEST, message, cut_after=cut_after)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'labels': ('a', 'b')}, 'labels: 2, but .* gives 5 logits'),
    ({'mean': (0.1, 0.2)}, 'mean: 2 values for 3 channel'),
    ({'std': (0.1, 0.2)}, 'std: 2 values for 3 channel'),
  ],
)
def test_what_does_not_fit_the_file_is_refused(options, message):
  refuse(NEWEST, message, **options)


def test_a_softmax_is_of_all_labels():
  teacher = make_teacher(single_label=True)
  logits = forward.tail(teacher, teacher.variables, np.ones((2, 8, 8, 3)), 0)
  np.testing.assert_allclose(jax.nn.sigmoid(logits).sum(1), 1, rtol=1e-5)


def test_a_net_that_mixes_the_images_of_a_batch_is_refused(tmp_path):
  def flip_batch(node):
    node['target'] = 'torch.ops.aten.flip.default'
    node['inputs'].append({'name': 'dims', 'kind': 1, 'arg': {'as_ints': [0]}})

  path = change_node(tmp_path, 'sigmoid', flip_batch)
  message = 'an image gets another answer beside another image; let batch norm'
  refuse(path, message)
  with pytest.raises(UserError, match=message):
    exported_teacher.describe(exported_net.read(path))
  # Without logits of its example, too.
  path = torch_exports.changed_copy(
    path, tmp_path / 'x.pt2', {'extra/logits.json': lambda _: None}
  )
  refuse(path, message)


def test_other_stored_logits_are_refused(tmp_path):
  def double(logits):
    logits[0][0] += 1

  path = change_member(tmp_path, double, 'extra/logits.json')
  refuse(path, 'the logits of its example are not those that it stores')
  path = change_member(
    tmp_path, lambda logits: logits.pop(), 'extra/logits.json'
  )
  refuse(path, 'its stored logits are not those of its example')


def test_a_file_without_logits_is_not_compared(tmp_path):
  path = torch_exports.changed_copy(
    NEWEST, tmp_path / 'x.pt2', {'extra/logits.json': lambda _: None}
  )
  assert exported_teacher.read('f', str(path)).example is None
  assert len(make_teacher(path).blocks) == 3

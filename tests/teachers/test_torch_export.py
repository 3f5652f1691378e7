"""Files of torch.export become teachers, without PyTorch, or are refused."""

import json
import math
import zipfile

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import exported_teacher, forward, protocol
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.teachers.torch_export import exported_net
from tests import torch_exports
from tests.paths import FILES
from tests.torch_exports import changed_json

NEWEST = FILES / torch_exports.FILES_BY_VERSION['2.13']
LABELS = tuple('abcde')
GRAPH = 'models/model.json'


def _teacher(path=NEWEST, **options):
  return Teacher.from_torch_export(path, **{'labels': LABELS, **options})


def _refuse(path, message, **options):
  with pytest.raises(UserError, match=message) as caught:
    _teacher(path, **options)
  assert '\n' not in str(caught.value)


def _changed(tmp_path, change, member=GRAPH):
  path = tmp_path / 'changed.pt2'
  return torch_exports.changed_copy(
    NEWEST, path, {member: changed_json(change)}
  )


def _change_node(tmp_path, target, change):
  """Changes the first call of an operation."""

  def change_program(program):
    nodes = program['graph_module']['graph']['nodes']
    change(next(node for node in nodes if target in node['target']))

  return _changed(tmp_path, change_program)


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
  teacher = _teacher(mean=(0.5, 0.4, 0.3), std=(0.25,), name='mine')
  protocol.check_teacher('f', teacher, (8, 8, 3))
  assert (teacher.name, teacher.image_shape) == ('mine', (8, 8, 3))
  images = jax.random.uniform(jax.random.key(0), (3, 8, 8, 3))
  # The stem's, and one per unit; each sees the image's rows alone.
  moments = forward.ladder(teacher, images, {}).moments
  assert len(moments) == 4
  stem = teacher.variables[0]['params']['stem']['0']
  mean = np.array([0.5, 0.4, 0.3], np.float32).reshape(1, 1, 1, 3)
  shown = (images - mean) / 0.25
  convolved = jax.lax.conv_general_dilated(
    shown.transpose(0, 3, 1, 2), stem['weight'], (1, 1), 'SAME'
  )
  np.testing.assert_allclose(
    moments[0].mean,
    convolved.mean((0, 2, 3)) + stem['bias'],
    rtol=1e-4,
    atol=1e-5,
  )


def test_features_may_enter_after_any_block():
  teacher = _teacher()
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
  teacher = _teacher(cut_after=('layer1.0', 'layer2', 'norm'))
  assert forward.feature_shapes(teacher, (8, 8, 3)) == [
    (8, 8, 4),
    (4, 4, 6),
    (3, 3, 6),
  ]
  whole, images = _teacher(), np.ones((2, 8, 8, 3), np.float32)
  np.testing.assert_allclose(
    forward.tail(teacher, teacher.variables, images, 0),
    forward.tail(whole, whole.variables, images, 0),
    rtol=1e-4,
  )


def test_blocks_may_be_merged():
  merged = _teacher(merge=(1,))
  assert [*map(len, (merged.blocks, merged.variables))] == [2, 3]
  _refuse(NEWEST, 'merge: there is no block after block 3 of 3', merge=(3,))


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
  _refuse(NEWEST, message, cut_after=cut_after)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'labels': ('a', 'b')}, 'labels: 2, but .* gives 5 logits'),
    ({'mean': (0.1, 0.2)}, 'mean: 2 values for 3 channel'),
    ({'std': (0.1, 0.2)}, 'std: 2 values for 3 channel'),
  ],
)
def test_what_does_not_fit_the_file_is_refused(options, message):
  _refuse(NEWEST, message, **options)


def test_a_softmax_is_of_all_labels():
  teacher = _teacher(single_label=True)
  logits = forward.tail(teacher, teacher.variables, np.ones((2, 8, 8, 3)), 0)
  np.testing.assert_allclose(jax.nn.sigmoid(logits).sum(1), 1, rtol=1e-5)


def test_an_unknown_operation_is_named_before_anything_runs(tmp_path):
  path = _change_node(
    tmp_path,
    'sigmoid',
    lambda node: node.update(target='torch.ops.aten.bernoulli.p'),
  )
  _refuse(
    path, r'operations that are not known: torch\.ops\.aten\.bernoulli\.p'
  )


def test_an_operation_that_gives_another_shape_is_refused(tmp_path):
  def change(node):
    node['inputs'][-1]['arg']['as_bool'] = False  # ceil_mode

  path = _change_node(tmp_path, 'avg_pool2d', change)
  _refuse(path, r'avg_pool2d\.default gives \(3, 6, 2, 2\) instead of')


def test_a_net_in_training_mode_is_refused(tmp_path):
  def train(node):
    node['inputs'][5]['arg']['as_bool'] = True

  path = _change_node(tmp_path, 'batch_norm', train)
  _refuse(path, r'batch_norm\.default in stem\.1: .*call model\.eval\(\)')
  path = _change_node(
    tmp_path,
    'dropout',
    lambda node: node['inputs'][2]['arg'].update(as_bool=True),
  )
  _refuse(path, r'dropout; call model\.eval\(\) before the export')


def test_probabilities_instead_of_logits_are_refused(tmp_path):
  def end_in_sigmoid(program):
    nodes = program['graph_module']['graph']['nodes']
    activation = json.loads(
      json.dumps(next(node for node in nodes if 'sigmoid' in node['target']))
    )
    logits = nodes[-1]['outputs'][0]['as_tensor']
    activation['inputs'][0]['arg']['as_tensor']['name'] = logits['name']
    activation['outputs'] = [{'as_tensor': {'name': 'answers'}}]
    nodes.append(activation)
    values = program['graph_module']['graph']['tensor_values']
    values['answers'] = values[logits['name']]
    (output,) = program['graph_module']['signature']['output_specs']
    output['user_output']['arg']['as_tensor']['name'] = 'answers'

  _refuse(_changed(tmp_path, end_in_sigmoid), 'ends in sigmoid; export it')


def test_images_of_whole_numbers_are_refused(tmp_path):
  def take_bytes(program):
    program['graph_module']['graph']['tensor_values']['x']['dtype'] = 1

  _refuse(_changed(tmp_path, take_bytes), 'takes images of whole numbers')


def test_batch_norm_without_running_averages_is_refused(tmp_path):
  def forget(node):
    for place in (3, 4):
      node['inputs'][place]['arg'] = {'as_none': True}

  path = _change_node(tmp_path, 'batch_norm', forget)
  _refuse(path, 'in stem.1: .* train with track_running_stats=True')


def test_too_many_views_are_refused(tmp_path):
  def change(program):
    nodes = program['graph_module']['graph']['nodes']
    relu = next(node for node in nodes if 'relu_' in node['target'])
    source = relu['inputs'][0]['arg']['as_tensor']['name']
    views = [json.loads(json.dumps(relu)) for _ in range(2000)]
    for number, view in enumerate(views):
      view['target'] = 'torch.ops.aten.alias.default'
      view['inputs'][0]['arg']['as_tensor']['name'] = source
      view['outputs'] = [{'as_tensor': {'name': f'view_{number}'}}]
    index = nodes.index(relu)
    nodes[index:index] = views

  _refuse(_changed(tmp_path, change), 'too many views, or changes, of one')


def test_a_batch_of_a_fixed_size_is_refused(tmp_path):
  def fix(program):
    values = program['graph_module']['graph']['tensor_values']
    values['x']['sizes'][0] = {'as_int': 2}

  path = _changed(tmp_path, fix)
  _refuse(path, r'fixed size 2; export it with dynamic_shapes=\(\{0: torch')


def test_a_size_that_depends_on_the_image_is_refused(tmp_path):
  def depend(program):
    values = program['graph_module']['graph']['tensor_values']
    values['view']['sizes'][0]['as_expr']['expr_str'] = "Symbol('s1')"

  _refuse(_changed(tmp_path, depend), 'let only the first axis of x be dynamic')


def test_other_results_than_logits_are_refused(tmp_path):
  def give(name):
    def change(program):
      (output,) = program['graph_module']['signature']['output_specs']
      output['user_output']['arg']['as_tensor']['name'] = name

    return _changed(tmp_path, change)

  _refuse(
    give('permute'), r'gives a tensor of \[n, 3, 3, 6\] instead of logits'
  )

  def add(program):
    outputs = program['graph_module']['signature']['output_specs']
    outputs.append(outputs[0])

  _refuse(_changed(tmp_path, add), 'gives 2 tensors; export one that gives')


def test_a_changed_view_is_refused(tmp_path):
  # relu_ would change what a view of its argument reads.
  def change(program):
    nodes = program['graph_module']['graph']['nodes']
    index = next(
      index for index, node in enumerate(nodes) if 'relu_' in node['target']
    )
    source = nodes[index]['inputs'][0]['arg']['as_tensor']['name']
    view = json.loads(json.dumps(nodes[index]))
    view.update(target='torch.ops.aten.alias.default')
    view['outputs'] = [{'as_tensor': {'name': 'seen'}}]
    reader = json.loads(json.dumps(view))
    reader['inputs'][0]['arg']['as_tensor']['name'] = 'seen'
    reader['outputs'] = [{'as_tensor': {'name': 'read'}}]
    nodes[index + 1 : index + 1] = [reader]
    nodes[index:index] = [view]
    values = program['graph_module']['graph']['tensor_values']
    values.update(seen=values[source], read=values[source])

  _refuse(_changed(tmp_path, change), r'relu_\.default changes seen, too')


def test_other_archives_are_refused_with_what_to_do(tmp_path):
  path = tmp_path / 'other.pt2'
  for member, message in (
    ('serialized_exported_program.json', 'written by PyTorch 2.7 or older'),
    ('archive/data.pkl', 'a file of torch.save'),
    ('archive/constants.pkl', 'a file of TorchScript'),
    ('other.txt', 'damaged, or not written by torch.export.save'),
  ):
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr(member, b'')
    _refuse(path, f'{message}.*; export it with PyTorch 2.8 or newer')
  path.write_bytes(NEWEST.read_bytes()[:-1000])
  _refuse(path, r'damaged, .*\(cut short\)')
  _refuse(tmp_path / 'none.pt2', 'there is no file')


def test_other_versions_of_the_format_are_refused(tmp_path):
  path = torch_exports.changed_copy(
    NEWEST, tmp_path / 'x.pt2', {'archive_version': lambda _: b'1'}
  )
  _refuse(path, 'of archive version 1, of which only 0 is known')
  path = _changed(
    tmp_path, lambda program: program['schema_version'].update(major=9)
  )
  _refuse(path, 'of schema version 9, of which only 8 is known')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'use_pickle': True}, 'is no plain tensor'),
    ({'path_name': 'weight_1000'}, 'damaged'),
    ({'tensor_meta': {'layout': 1}}, 'sparse, or of unknown type'),
    ({'tensor_meta': {'dtype': 10}}, 'sparse, or of unknown type'),
    ({'tensor_meta': {'sizes': [{'as_int': 9}]}}, 'a tensor of no sense'),
    (
      {'tensor_meta': {'storage_offset': {'as_int': 8}}},
      'reaches beyond its storage',
    ),
  ],
)
def test_weights_that_are_not_there_are_refused(tmp_path, change, message):
  def change_entry(weights):
    entry = weights['config']['layer1.0.conv.weight']
    entry['tensor_meta'].update(change.pop('tensor_meta', {}))
    entry.update(change)

  member = 'data/weights/model_weights_config.json'
  _refuse(_changed(tmp_path, change_entry, member), message)


def test_compressed_members_are_refused(tmp_path):
  path = tmp_path / 'compressed.pt2'
  with (
    zipfile.ZipFile(NEWEST) as original,
    zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as copy,
  ):
    for name in original.namelist():
      copy.writestr(name, original.read(name))
  _refuse(path, 'is compressed')


def test_other_stored_logits_are_refused(tmp_path):
  def double(logits):
    logits[0][0] += 1

  path = _changed(tmp_path, double, 'extra/logits.json')
  _refuse(path, 'the logits of its example are not those that it stores')
  path = _changed(tmp_path, lambda logits: logits.pop(), 'extra/logits.json')
  _refuse(path, 'its stored logits are not those of its example')


def test_a_file_without_logits_is_not_compared(tmp_path):
  path = torch_exports.changed_copy(
    NEWEST, tmp_path / 'x.pt2', {'extra/logits.json': lambda _: None}
  )
  assert exported_teacher.read('f', str(path)).example is None
  assert len(_teacher(path).blocks) == 3


def test_infinity_in_a_file_is_a_number(tmp_path):
  def clamp(node):
    node['target'] = 'torch.ops.aten.clamp.default'
    node['inputs'] += [
      {'name': 'min', 'kind': 1, 'arg': {'as_float': '-Infinity'}},
      {'name': 'max', 'kind': 1, 'arg': {'as_float': math.inf}},
    ]

  path = _change_node(tmp_path, 'sigmoid', clamp)
  assert 'clamp' in exported_net.read(path).count_operations()

"""Graphs of torch.export that make no teacher are refused, with the reason."""

import json
import math

from dualgan_jax.teachers.torch_export import exported_net
from tests.teachers.exported_files import change_member, change_node, refuse


def test_an_unknown_operation_is_named_before_anything_runs(tmp_path):
  path = change_node(
    tmp_path,
    'sigmoid',
    lambda node: node.update(target='torch.ops.aten.bernoulli.p'),
  )
  refuse(path, r'operations that are not known: torch\.ops\.aten\.bernoulli\.p')


def test_an_operation_that_gives_another_shape_is_refused(tmp_path):
  def change(node):
    node['inputs'][-1]['arg']['as_bool'] = False  # ceil_mode

  path = change_node(tmp_path, 'avg_pool2d', change)
  refuse(path, r'avg_pool2d\.default gives \(3, 6, 2, 2\) instead of')


def test_a_net_in_training_mode_is_refused(tmp_path):
  def train(node):
    node['inputs'][5]['arg']['as_bool'] = True

  path = change_node(tmp_path, 'batch_norm', train)
  refuse(path, r'batch_norm\.default in stem\.1: .*call model\.eval\(\)')
  path = change_node(
    tmp_path,
    'dropout',
    lambda node: node['inputs'][2]['arg'].update(as_bool=True),
  )
  refuse(path, r'dropout; call model\.eval\(\) before the export')


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

  refuse(change_member(tmp_path, end_in_sigmoid), 'ends in sigmoid; export it')


def test_images_of_whole_numbers_are_refused(tmp_path):
  def take_bytes(program):
    program['graph_module']['graph']['tensor_values']['x']['dtype'] = 1

  refuse(change_member(tmp_path, take_bytes), 'takes images of whole numbers')


def test_batch_norm_without_running_averages_is_refused(tmp_path):
  def forget(node):
    for place in (3, 4):
      node['inputs'][place]['arg'] = {'as_none': True}

  path = change_node(tmp_path, 'batch_norm', forget)
  refuse(path, 'in stem.1: .* train with track_running_stats=True')


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

  refuse(change_member(tmp_path, change), 'too many views, or changes, of one')


def test_a_batch_of_a_fixed_size_is_refused(tmp_path):
  def fix(program):
    values = program['graph_module']['graph']['tensor_values']
    values['x']['sizes'][0] = {'as_int': 2}

  path = change_member(tmp_path, fix)
  refuse(path, r'fixed size 2; export it with dynamic_shapes=\(\{0: torch')


def test_a_size_that_depends_on_the_image_is_refused(tmp_path):
  def depend(program):
    values = program['graph_module']['graph']['tensor_values']
    values['view']['sizes'][0]['as_expr']['expr_str'] = "Symbol('s1')"

  refuse(
    change_member(tmp_path, depend), 'let only the first axis of x be dynamic'
  )


def test_other_results_than_logits_are_refused(tmp_path):
  def give(name):
    def change(program):
      (output,) = program['graph_module']['signature']['output_specs']
      output['user_output']['arg']['as_tensor']['name'] = name

    return change_member(tmp_path, change)

  refuse(give('permute'), r'gives a tensor of \[n, 3, 3, 6\] instead of logits')

  def add(program):
    outputs = program['graph_module']['signature']['output_specs']
    outputs.append(outputs[0])

  refuse(change_member(tmp_path, add), 'gives 2 tensors; export one that gives')


def test_what_may_be_a_changed_view_is_refused(tmp_path):
  # relu_ would change what is read afterwards, unless that is a copy.
  def change(program):
    nodes = program['graph_module']['graph']['nodes']
    index = next(
      index for index, node in enumerate(nodes) if 'relu_' in node['target']
    )
    source = nodes[index]['inputs'][0]['arg']['as_tensor']['name']
    view = json.loads(json.dumps(nodes[index]))
    view.update(target='torch.ops.aten.contiguous.default')
    view['outputs'] = [{'as_tensor': {'name': 'seen'}}]
    reader = json.loads(json.dumps(view))
    reader['inputs'][0]['arg']['as_tensor']['name'] = 'seen'
    reader['outputs'] = [{'as_tensor': {'name': 'read'}}]
    nodes[index + 1 : index + 1] = [reader]
    nodes[index:index] = [view]
    values = program['graph_module']['graph']['tensor_values']
    values.update(seen=values[source], read=values[source])

  refuse(change_member(tmp_path, change), r'relu_\.default changes seen, too')


def test_infinity_in_a_file_is_a_number(tmp_path):
  def clamp(node):
    node['target'] = 'torch.ops.aten.clamp.default'
    node['inputs'] += [
      {'name': 'min', 'kind': 1, 'arg': {'as_float': '-Infinity'}},
      {'name': 'max', 'kind': 1, 'arg': {'as_float': math.inf}},
    ]

  path = change_node(tmp_path, 'sigmoid', clamp)
  assert 'clamp' in exported_net.read(path).count_operations()

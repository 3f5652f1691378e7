"""Writes the student in formats of other programs, and checks each file.

An exported model takes images of the student's size, uint8 [n, h, w, c] for any
n, and returns probabilities, [n, L].
"""

import contextlib
import io
import json
import logging
import pathlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.student import student_folder
from dualgan_jax.student.program import PLATFORMS
from dualgan_jax.student.student import Student

_NUM_TRIAL_IMAGES = 5


def write_stablehlo(student: Student, path: pathlib.Path) -> Callable:
  """Writes a model that `jax.export.deserialize` reads, for CPU, GPU and TPU.

  Args:
    student: a student of `student.load`.
    path: path of the file to write.

  Returns:
    The written model: a function of images that returns probabilities.
  """
  # A symbolic size, so that the model takes any number of images.
  (num_images,) = export.symbolic_shape('n')
  images = jax.ShapeDtypeStruct((num_images, *student.image), jnp.uint8)
  export_model = export.export(
    jax.jit(_probabilities(student)), platforms=PLATFORMS
  )
  path.write_bytes(export_model(images).serialize())
  # Read it back: the file is tried, not the model in memory.
  return export.deserialize(bytearray(path.read_bytes())).call


def write_onnx(student: Student, path: pathlib.Path) -> Callable:
  """Writes an ONNX model; its metadata hold the labels.

  Args:
    student: a student of `student.load`.
    path: path of the file to write.

  Returns:
    The written model in onnxruntime: a function of images that returns
    probabilities.

  Raises:
    UserError: the extra `export` is not installed, or its converter is too old
      for this JAX.
  """
  with _silenced():
    # Imported here, since the extra may be missing, and silently.
    try:
      import onnxruntime
      from jax2onnx import to_onnx
    except ModuleNotFoundError as error:
      raise UserError(
        f"format: onnx needs {error.name}; pip install '.[export]' brings it."
      ) from error
    try:
      model = to_onnx(
        _probabilities(student),
        [jax.ShapeDtypeStruct(('n', *student.image), jnp.uint8)],
        model_name='student',
      )
    # It relies on internals of JAX, and breaks in any way when they change.
    except Exception as error:
      raise UserError(
        f'format: onnx cannot be written with JAX {jax.__version__} '
        f'({type(error).__name__}: {first_line(error)}); '
        "pip install 'jax<0.12' first."
      ) from error
  # ONNX has no field for the labels of a classifier.
  labels_property = model.metadata_props.add()
  labels_property.key = 'labels'
  labels_property.value = json.dumps(student.labels)
  path.write_bytes(model.SerializeToString())
  session_options = onnxruntime.SessionOptions()
  session_options.log_severity_level = 3  # errors
  session = onnxruntime.InferenceSession(path, session_options)
  input_name = session.get_inputs()[0].name
  return lambda images: session.run(None, {input_name: images})[0]


FORMATS = {'stablehlo': write_stablehlo, 'onnx': write_onnx}


def write(student: Student, folder: pathlib.Path, format_name: str) -> float:
  """Writes `model.<format_name>` into a student's folder, and its digest.

  Args:
    student: a student of `student.load`.
    folder: the student's folder, which changes only once the model has run.
    format_name: a key of `FORMATS`.

  Returns:
    The largest difference of probabilities between the written model and the
    student in memory, on random images.
  """
  random_generator = np.random.default_rng(0)
  images = random_generator.integers(
    0, 256, (_NUM_TRIAL_IMAGES, *student.image), dtype=np.uint8
  )
  part_file = folder / f'model.{format_name}.part'
  try:
    model = FORMATS[format_name](student, part_file)
    differences = np.asarray(model(images)) - student.predict(images)
    student_folder.add_export(folder, part_file)
  finally:
    part_file.unlink(missing_ok=True)
  return float(np.max(np.abs(differences)))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
  """Suppresses the long reports that jax2onnx makes of its work."""
  logging.disable(logging.WARNING)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.disable(logging.NOTSET)


def _probabilities(student: Student) -> Callable:
  """Returns a function from images, uint8 [n, h, w, c], to probabilities."""
  return lambda images: student.answer(images.astype(jnp.float32) / 255)

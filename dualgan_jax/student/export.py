"""The student in formats that other programs run, each checked once written.

An exported model takes images of the student's size, uint8 [n, h, w, c] for any
n, and gives probabilities, [n, L].
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

_IMAGES = 5


def stablehlo(student: Student, path: pathlib.Path) -> Callable:
  """Writes a model that `jax.export.deserialize` reads, for CPU, GPU and TPU.

  Returns:
    The written model: images → probabilities.
  """
  (n,) = export.symbolic_shape('n')
  images = jax.ShapeDtypeStruct((n, *student.image), jnp.uint8)
  exported = export.export(jax.jit(_answer(student)), platforms=PLATFORMS)
  path.write_bytes(exported(images).serialize())
  return export.deserialize(bytearray(path.read_bytes())).call


def onnx(student: Student, path: pathlib.Path) -> Callable:
  """Writes an ONNX model; its metadata hold the labels.

  Returns:
    The written model in onnxruntime: images → probabilities.

  Raises:
    UserError: the extra `export` is not installed, or its converter is too old
      for this JAX.
  """
  with _quiet():
    try:
      import onnxruntime
      from jax2onnx import to_onnx
    except ModuleNotFoundError as e:
      raise UserError(
        f"format: onnx needs {e.name}; pip install '.[export]' brings it."
      ) from e
    try:
      model = to_onnx(
        _answer(student),
        [jax.ShapeDtypeStruct(('n', *student.image), jnp.uint8)],
        model_name='student',
      )
    except Exception as e:  # it reads what JAX keeps to itself
      raise UserError(
        f'format: onnx cannot be written with JAX {jax.__version__} '
        f"({type(e).__name__}: {first_line(e)}); pip install 'jax<0.12' first."
      ) from e
  labels = model.metadata_props.add()
  labels.key, labels.value = 'labels', json.dumps(student.labels)
  path.write_bytes(model.SerializeToString())
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors
  session = onnxruntime.InferenceSession(path, options)
  name = session.get_inputs()[0].name
  return lambda images: session.run(None, {name: images})[0]


FORMATS = {'stablehlo': stablehlo, 'onnx': onnx}


def write(student: Student, folder: pathlib.Path, form: str) -> float:
  """Writes `model.<form>` into a student's folder, and its sum into the config.

  Args:
    student: of `student.load`.
    folder: that is there; it is as it was until the model has been tried.
    form: a key of `FORMATS`.

  Returns:
    The largest difference of the written model's probabilities to the live
    student's, on random images.
  """
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (_IMAGES, *student.image), dtype=np.uint8)
  part = folder / f'model.{form}.part'
  try:
    model = FORMATS[form](student, part)
    difference = np.asarray(model(images)) - student.predict(images)
    student_folder.add(folder, part)
  finally:
    part.unlink(missing_ok=True)
  return float(np.max(np.abs(difference)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """What jax2onnx tells of its own work, at length, is not for users."""
  logging.disable(logging.WARNING)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.disable(logging.NOTSET)


def _answer(student):
  return lambda images: student.answer(images.astype(jnp.float32) / 255)

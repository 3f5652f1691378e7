"""Writes the student in formats of other programs, and checks each file.

An exported model takes images of the student's size, uint8 [n, h, w, c], and
returns probabilities, [n, L].
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.student import student_folder
from dualgan_jax.student.program import PLATFORMS
from dualgan_jax.student.student import Student

# Read by runtimes since 2022, and by today's browsers.
DEFAULT_OPSET = 17
_NUM_TRIAL_IMAGES = 5


@dataclasses.dataclass(frozen=True)
class ExportOptions:
  """What users may choose of an exported model.

  Attributes:
    batch_size: number of images that the model takes; None for any number.
    opset: version of ONNX's operators.
  """

  batch_size: int | None = None
  opset: int = DEFAULT_OPSET


def write_stablehlo(
  student: Student, path: pathlib.Path, options: ExportOptions
) -> Callable:
  """Writes a model that `jax.export.deserialize` reads, for CPU, GPU and TPU.

  Args:
    student: a student of `student.load`.
    path: path of the file to write.
    options: their `batch_size` counts.

  Returns:
    The written model: a function of images that returns probabilities.
  """
  # A symbolic size stands for any number of images.
  (num_images,) = (
    export.symbolic_shape('n')
    if options.batch_size is None
    else (options.batch_size,)
  )
  images = jax.ShapeDtypeStruct((num_images, *student.image_shape), jnp.uint8)
  export_model = export.export(
    jax.jit(_probabilities(student)), platforms=PLATFORMS
  )
  path.write_bytes(export_model(images).serialize())
  # Read it back: the file is tried, not the model in memory.
  return export.deserialize(bytearray(path.read_bytes())).call


def write_onnx(
  student: Student, path: pathlib.Path, options: ExportOptions
) -> Callable:
  """Writes an ONNX model; its metadata hold the labels.

  Args:
    student: a student of `student.load`, from a folder `student`.
    path: path of the file to write.
    options: `batch_size` and `opset`.

  Returns:
    The written model in onnxruntime: a function of images that returns
    probabilities.

  Raises:
    UserError: the extra `export` is not installed, or it does not know the
      opset.
  """
  check_onnx(options.opset)
  # Imported here, since the extra may be missing.
  import onnx
  import onnxruntime

  from dualgan_jax.student import onnx_graph

  model = onnx_graph.build(
    student.config,
    student.variables,
    opset=options.opset,
    batch_size=options.batch_size,
  )
  # ONNX has no field for the labels of a classifier.
  onnx.helper.set_model_props(model, {'labels': json.dumps(student.labels)})
  onnx.checker.check_model(model, full_check=True)
  path.write_bytes(model.SerializeToString())
  try:
    session = onnxruntime.InferenceSession(path)
  # Its errors have no base class but this one.
  except Exception as error:
    raise UserError(
      f'--opset: onnxruntime {onnxruntime.__version__} does not read '
      f'{options.opset} ({first_line(error)}); choose a smaller one, or '
      "'pip install -U onnxruntime'."
    ) from error
  return lambda images: session.run(None, {onnx_graph.INPUT: images})[0]


def check_onnx(opset: int) -> None:
  """Checks that ONNX can be written here.

  Args:
    opset: version of ONNX's operators.

  Raises:
    UserError: the extra `export` is not installed, or does not know the opset.
  """
  try:
    import onnx
    import onnxruntime  # noqa: F401

    from dualgan_jax.student import onnx_graph
  except ModuleNotFoundError as error:
    raise UserError(
      f'format: onnx needs {error.name}; '
      "pip install 'dualgan_jax[export]' brings it."
    ) from error
  newest_opset = onnx.defs.onnx_opset_version()
  if not onnx_graph.OLDEST_OPSET <= opset <= newest_opset:
    raise UserError(
      f'--opset: {opset}, but onnx {onnx.__version__} writes '
      f'{onnx_graph.OLDEST_OPSET} to {newest_opset}; leave it out for '
      f'{DEFAULT_OPSET}.'
    )


FORMATS = {'stablehlo': write_stablehlo, 'onnx': write_onnx}


def write(
  student: Student,
  folder: pathlib.Path,
  format_name: str,
  options: ExportOptions = ExportOptions(),
) -> float:
  """Writes `model.<format_name>` into a student's folder, and its digest.

  Args:
    student: a student of `student.load`.
    folder: the student's folder, which changes only once the model has run.
    format_name: a key of `FORMATS`.
    options: of the model.

  Returns:
    The largest difference of probabilities between the written model and the
    student in memory, on random images.
  """
  num_images = options.batch_size or _NUM_TRIAL_IMAGES
  random_generator = np.random.default_rng(0)
  images = random_generator.integers(
    0, 256, (num_images, *student.image_shape), dtype=np.uint8
  )
  part_file = folder / f'model.{format_name}.part'
  try:
    model = FORMATS[format_name](student, part_file, options)
    differences = np.asarray(model(images)) - student.predict(images)
    student_folder.add_export(folder, part_file)
  finally:
    part_file.unlink(missing_ok=True)
  return float(np.max(np.abs(differences)))


def _probabilities(student: Student) -> Callable:
  """Returns a function from images, uint8 [n, h, w, c], to probabilities."""

  # Exported programs show its name.
  def answer(images):
    return student.answer(images.astype(jnp.float32) / 255)

  return answer
